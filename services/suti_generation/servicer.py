"""The generation service's gRPC API: translate, call, translate."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import grpc.aio
from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.generation.v1 import generation_pb2_grpc
from suti.api.types.v1 import types_pb2 as types
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.paging import page_after
from suti.infra.store import Store
from suti.stages.generation.contexts import ContextCache
from suti.stages.generation.demonstrations import decode_demonstrations
from suti.stages.generation.enlarging import GivenPicture, decode_given
from suti.stages.generation.painter import Told
from suti.stages.generation.registry import ModelRegistry
from suti.stages.generation.studio import Studio
from suti.stages.generation.subjects import Demonstration, SubjectRepository
from suti_generation import convert
from suti_generation.answers import Answers, read_picture
from suti_generation.batches import Batches

type Context = grpc.aio.ServicerContext[Any, Any]


class Artist:
    """Draws requests: the answer that stands, or a new one. Used by calls and by batches alike."""

    def __init__(self, store: Store, studio: Studio) -> None:
        self._store = store
        self._studio = studio
        self._answers = Answers(store, RequestLedger(store, "generation"))

    async def draw(
        self, request: pb.GenerateRequest, *, deadline_s: float, tell: Callable[[Told], None]
    ) -> pb.GenerateResponse:
        """The request's answer; the same request id yields the same answer."""
        came = time.monotonic()
        order = convert.order_from_proto(request)
        order.check()
        if (given := await asyncio.to_thread(self._answers.find, request)) is not None:
            return given
        drawn = await self._studio.draw(
            order,
            subject_id=request.subject_id,
            demonstrations=await self.decode(request.inline.demonstrations) if request.HasField("inline") else (),
            given=await asyncio.to_thread(self._given, request) if request.pictures else (),
            deadline_s=deadline_s,
            tell=tell,
        )
        total_s = time.monotonic() - came
        return await asyncio.to_thread(self._answers.keep, request, order.seed, drawn, total_s=total_s)

    async def decode(self, demonstrations: Sequence[types.Demonstration]) -> tuple[Demonstration, ...]:
        """Demonstrations as they came, made usable. Raises as `decode_demonstrations`."""
        sources = await asyncio.to_thread(convert.sources_from_proto, demonstrations, self._store)
        return await asyncio.to_thread(decode_demonstrations, sources)

    def _given(self, request: pb.GenerateRequest) -> tuple[GivenPicture, ...]:
        return decode_given(
            [
                convert.picture_bytes(picture, self._store, field=f"pictures[{index}]")
                for index, picture in enumerate(request.pictures)
            ]
        )


class GenerationServicer(generation_pb2_grpc.GenerationServiceServicer):
    """Keeps subjects and draws. All that blocks runs in threads."""

    def __init__(
        self,
        store: Store,
        *,
        artist: Artist,
        subjects: SubjectRepository,
        contexts: ContextCache,
        registry: ModelRegistry,
        batches: Batches,
        default_deadline_s: float,
    ) -> None:
        self._store = store
        self._artist = artist
        self._subjects = subjects
        self._contexts = contexts
        self._registry = registry
        self._batches = batches
        self._default_deadline_s = default_deadline_s
        self._registered = RequestLedger(store, "subjects")

    async def RegisterSubject(self, request: pb.RegisterSubjectRequest, context: Context) -> pb.Subject:
        """Keep a subject's demonstrations."""
        body = body_sha256(request)
        given = await asyncio.to_thread(self._registered.find, request.request_id, body_sha256=body)
        if given is not None:
            return pb.Subject.FromString(given)
        demonstrations = await self._artist.decode(request.demonstrations)
        return await asyncio.to_thread(self._register, request, body, demonstrations)

    def _register(
        self, request: pb.RegisterSubjectRequest, body: str, demonstrations: Sequence[Demonstration]
    ) -> pb.Subject:
        subject = self._subjects.register(
            demonstrations, display_name=request.display_name, created_by=request.created_by or "anonymous"
        )
        ours = convert.subject_to_proto(subject)
        standing = pb.Subject.FromString(
            self._registered.record(request.request_id, body, ours.SerializeToString(deterministic=True))
        )
        if standing.subject_id != ours.subject_id:  # the same call came twice at once
            self._subjects.delete(subject.subject_id)
        return standing

    async def GetSubject(self, request: pb.GetSubjectRequest, context: Context) -> pb.Subject:
        """One subject."""
        subject = await asyncio.to_thread(self._subjects.get, request.subject_id)
        pictures = await asyncio.to_thread(self._subjects.demonstrations, subject) if request.with_pixels else ()
        return convert.subject_to_proto(subject, pictures)

    async def ListSubjects(self, request: pb.ListSubjectsRequest, context: Context) -> pb.ListSubjectsResponse:
        """Subjects, newest first."""
        page = await asyncio.to_thread(
            lambda: page_after(
                self._subjects.list(after=request.page_token),
                size=request.page_size,
                token_of=lambda subject: subject.subject_id,
            )
        )
        return pb.ListSubjectsResponse(
            subjects=[convert.subject_to_proto(subject) for subject in page.items], next_page_token=page.next_token
        )

    async def DeleteSubject(self, request: pb.DeleteSubjectRequest, context: Context) -> Empty:
        """Delete a subject with everything computed from it."""
        subject = await asyncio.to_thread(self._subjects.delete, request.subject_id)
        self._contexts.forget(subject.digest)
        return Empty()

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> pb.GenerateResponse:
        """Draw pictures."""
        return await self._artist.draw(request, deadline_s=self._deadline_s(context), tell=lambda told: None)

    async def GenerateStream(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateEvent]:
        """Draw pictures and tell how far it is."""
        events: asyncio.Queue[Told | None] = asyncio.Queue()
        drawing = asyncio.create_task(
            self._artist.draw(request, deadline_s=self._deadline_s(context), tell=events.put_nowait)
        )
        drawing.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (told := await events.get()) is not None:
                yield convert.event_to_proto(told)
            yield pb.GenerateEvent(result=await drawing)
        finally:
            drawing.cancel()

    async def GenerateBatch(self, request: pb.GenerateBatchRequest, context: Context) -> Operation:
        """Draw many requests in the background."""
        return await self._batches.start(request)

    async def ReadPicture(self, request: pb.ReadPictureRequest, context: Context) -> pb.ReadPictureResponse:
        """One picture of the store."""
        return pb.ReadPictureResponse(png=await asyncio.to_thread(read_picture, self._store, request.store_key))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """Models that requests may name."""
        entries = await asyncio.to_thread(self._registry.entries)
        models = [convert.model_to_proto(entry) for entry in entries]
        return pb.ListModelsResponse(
            models=[model for model in models if request.kind in {types.MODEL_KIND_UNSPECIFIED, model.kind}]
        )

    def _deadline_s(self, context: Context) -> float:
        left_s = cast("float | None", context.time_remaining())  # its stubs forget calls without a deadline
        return self._default_deadline_s if left_s is None else left_s
