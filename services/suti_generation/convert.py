"""Between the contract's messages and what the stages work with."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1 import types_pb2 as types
from suti.core.errors import InvalidArgument
from suti.core.seeds import derive_seed
from suti.infra.store import Store
from suti.ml.diffusion.recipe import SamplerName
from suti.stages.generation.entries import ModelEntry, ModelKind
from suti.stages.generation.order import DrawOrder
from suti.stages.generation.painter import Queued, StepDone, Told
from suti.stages.generation.subjects import Demonstration, Subject, check_count
from suti.stages.sent_pictures import read_sent

_SAMPLERS: Mapping[int, SamplerName | None] = {
    types.SAMPLER_UNSPECIFIED: None,
    types.SAMPLER_DDPM: "ddpm",
    types.SAMPLER_DDIM: "ddim",
    types.SAMPLER_DPMSOLVER_PP: "dpmsolver++",
    types.SAMPLER_UNIPC: "unipc",
}
KINDS: Mapping[ModelKind, "types.ModelKind.ValueType"] = {
    ModelKind.BASE: types.MODEL_KIND_BASE,
    ModelKind.WARMSTART: types.MODEL_KIND_WARMSTART,
    ModelKind.APPRENTICE: types.MODEL_KIND_APPRENTICE,
    ModelKind.SUPER_RESOLUTION: types.MODEL_KIND_SUPER_RESOLUTION,
    ModelKind.CLIP: types.MODEL_KIND_CLIP,
}


def order_from_proto(request: pb.GenerateRequest) -> DrawOrder:
    """What is wanted; checked by `DrawOrder.check`, apart from what an order cannot say.

    Raises:
        InvalidArgument: the sampler is none that this version knows.
    """
    if request.sampler not in _SAMPLERS:
        raise InvalidArgument("sampler", f"{request.sampler} is none that this version knows: leave it to the model")
    return DrawOrder(
        prompt=request.prompt,
        avoid=request.negative_prompt,
        model=request.model,
        count=request.count or len(request.pictures) or 1,
        seed=request.seed if request.HasField("seed") else derive_seed(0, "request", request.request_id),
        steps=request.steps,
        guidance=request.guidance if request.HasField("guidance") else None,
        subject_guidance=request.subject_guidance if request.HasField("subject_guidance") else None,
        sampler=_SAMPLERS[request.sampler],
        width_px=request.width_px,
        height_px=request.height_px,
        preview_steps=request.preview_steps,
        enlarge_with=tuple(request.enlarge_with),
        noise_level=request.noise_level if request.HasField("noise_level") else None,
        given=len(request.pictures),
    )


def sources_from_proto(demonstrations: Sequence[types.Demonstration], store: Store) -> list[tuple[bytes, str]]:
    """Pictures' bytes with their captions; those that lie in the store are read. Blocking: for threads.

    Raises:
        DemonstrationCount, InvalidArgument, StoreKeyRefused, ObjectMissing: each names the field that is wrong.
    """
    check_count(len(demonstrations))  # before anything is read
    return [
        (picture_bytes(one.picture, store, field=f"demonstrations[{index}].picture"), one.caption)
        for index, one in enumerate(demonstrations)
    ]


def picture_bytes(picture: types.Picture, store: Store, *, field: str) -> bytes:
    """A picture's file, as it was sent or as it lies in the store. Blocking: for threads.

    Raises:
        InvalidArgument, StoreKeyRefused, SentPictureRefused, ObjectMissing: each names the field that is wrong.
    """
    match picture.WhichOneof("source"):
        case "content":
            return picture.content
        case "store_key":
            return read_sent(picture.store_key, store, field=field)
        case _:
            raise InvalidArgument(field, "it is missing: send its bytes or its key")


def subject_to_proto(subject: Subject, pictures: Sequence[Demonstration] = ()) -> pb.Subject:
    """The subject, with pictures if they are given."""
    return pb.Subject(
        subject_id=subject.subject_id,
        display_name=subject.display_name,
        demonstrations=[
            types.Demonstration(
                caption=caption, picture=types.Picture(content=pictures[index].png) if pictures else None
            )
            for index, caption in enumerate(subject.captions)
        ],
        create_time=_timestamp(subject.created_at),
        created_by=subject.created_by,
        digest=subject.digest,
    )


def model_to_proto(entry: ModelEntry) -> types.Model:
    """The model as lists show it."""
    return types.Model(
        name=entry.name,
        kind=KINDS[entry.kind],
        sha256=entry.sha256,
        promoted=entry.promoted,
        run_id=entry.run_id,
        width_px=entry.size_px,
        height_px=entry.size_px,
        description=entry.description,
        factor=entry.factor,
    )


def event_to_proto(told: Told) -> pb.GenerateEvent:
    """What happens to a request."""
    if isinstance(told, Queued):
        return pb.GenerateEvent(queued=pb.QueuePlace(place=told.place))
    if isinstance(told, StepDone):
        return pb.GenerateEvent(step=pb.StepDone(step=told.step, steps=told.steps))
    return pb.GenerateEvent(preview=pb.Preview(step=told.step, pngs=told.pngs))


def _timestamp(rfc3339: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(rfc3339))
    return stamp
