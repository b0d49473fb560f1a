"""Calls to the generation service: subjects, pictures, models."""

from collections.abc import Sequence

from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1.types_pb2 import Demonstration, Model, ModelKind, Picture
from suti.client.calls import Long, Pages, Stream, Unary
from suti.client.endpoints import Service
from suti.client.inputs import SamplerName, checked_seed, sampler
from suti.core.ids import new_request_id


def register_subject(
    demonstrations: Sequence[Demonstration], *, display_name: str = "", created_by: str = "", request_id: str = ""
) -> Unary[pb.Subject]:
    """Keep a subject's demonstrations (see `inputs.demonstration`), to draw it again and again."""
    request = pb.RegisterSubjectRequest(
        request_id=request_id or new_request_id(),
        demonstrations=demonstrations,
        display_name=display_name,
        created_by=created_by,
    )
    return _unary("RegisterSubject", request, pb.Subject)


def get_subject(subject_id: str, *, with_pixels: bool = False) -> Unary[pb.Subject]:
    """One subject; with its pictures if asked."""
    return _unary("GetSubject", pb.GetSubjectRequest(subject_id=subject_id, with_pixels=with_pixels), pb.Subject)


def list_subjects(*, page_size: int = 0) -> Pages[pb.ListSubjectsResponse, pb.Subject]:
    """Subjects, newest first; pages are fetched as they are needed."""
    first = _unary("ListSubjects", pb.ListSubjectsRequest(page_size=page_size), pb.ListSubjectsResponse)
    return Pages(first=first, items=lambda page: page.subjects)


def delete_subject(subject_id: str) -> Unary[Empty]:
    """Delete a subject with everything computed from it."""
    return _unary("DeleteSubject", pb.DeleteSubjectRequest(subject_id=subject_id), Empty)


def generate_request(
    prompt: str,
    *,
    subject_id: str = "",
    demonstrations: Sequence[Demonstration] = (),
    negative_prompt: str = "",
    model: str = "",
    count: int = 1,
    seed: int | None = None,
    steps: int = 0,
    guidance: float | None = None,
    subject_guidance: float | None = None,
    sampler_name: SamplerName = "",
    size_px: tuple[int, int] = (0, 0),
    enlarge_with: Sequence[str] = (),
    noise_level: int | None = None,
    pictures: Sequence[Picture] = (),
    preview_steps: int = 0,
    created_by: str = "",
    request_id: str = "",
) -> pb.GenerateRequest:
    """An order for pictures. Zeros, empty texts and None leave it to the model; `size_px` is (width, height).

    With `pictures` none is drawn: those given are enlarged, and the prompt may be empty. `enlarge_with` names
    super-resolution models, used one after the other.
    """
    if isinstance(enlarge_with, str):  # one name is a sequence of letters
        enlarge_with = [enlarge_with] if enlarge_with else []
    request = pb.GenerateRequest(
        request_id=request_id or new_request_id(),
        prompt=prompt,
        negative_prompt=negative_prompt,
        model=model,
        count=0 if pictures else count,
        seed=None if seed is None else checked_seed(seed),
        steps=steps,
        guidance=guidance,
        subject_guidance=subject_guidance,
        sampler=sampler(sampler_name),
        width_px=size_px[0],
        height_px=size_px[1],
        enlarge_with=enlarge_with,
        noise_level=noise_level,
        pictures=pictures,
        preview_steps=preview_steps,
        created_by=created_by,
    )
    if subject_id:
        request.subject_id = subject_id
    elif demonstrations:
        request.inline.demonstrations.extend(demonstrations)
    return request


def generate(request: pb.GenerateRequest) -> Unary[pb.GenerateResponse]:
    """Draw pictures (see `generate_request`)."""
    return _unary("Generate", request, pb.GenerateResponse, computes=True)


def generate_stream(request: pb.GenerateRequest) -> Stream[pb.GenerateEvent]:
    """Draw pictures and tell how far it is: queue place, steps, previews, and the result last."""
    return Stream(
        service=Service.GENERATION,
        method="GenerateStream",
        request=request,
        answer=pb.GenerateEvent,
        last=lambda event: event.HasField("result"),
    )


def generate_batch(
    requests: Sequence[pb.GenerateRequest], *, created_by: str = "", request_id: str = ""
) -> Long[pb.GenerateBatchResult]:
    """Draw many requests in the background."""
    request = pb.GenerateBatchRequest(
        request_id=request_id or new_request_id(), requests=requests, created_by=created_by
    )
    return Long(start=_unary("GenerateBatch", request, Operation), result=pb.GenerateBatchResult)


def read_picture(store_key: str) -> Unary[pb.ReadPictureResponse]:
    """The picture that an answer named by its `store_key`: there were too many to send them all at once."""
    return _unary("ReadPicture", pb.ReadPictureRequest(store_key=store_key), pb.ReadPictureResponse)


def list_models(
    *, kind: "ModelKind.ValueType" = ModelKind.MODEL_KIND_UNSPECIFIED
) -> Pages[pb.ListModelsResponse, Model]:
    """Models that requests may name, the promoted one first."""
    first = _unary("ListModels", pb.ListModelsRequest(kind=kind), pb.ListModelsResponse)
    return Pages(first=first, items=lambda page: page.models)


def _unary[Answer: Message](
    method: str, request: Message, answer: type[Answer], *, computes: bool = False
) -> Unary[Answer]:
    return Unary(service=Service.GENERATION, method=method, request=request, answer=answer, computes=computes)
