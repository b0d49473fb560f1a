"""From a caller's words to an order that can be carried out, or a refusal that names the field."""

from collections.abc import Callable

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.core.errors import InvalidArgument
from suti.infra.store import ObjectMissing
from suti.ml.evaluation.prompts import SETS
from suti.stages.evaluation.orders import MAX_SAMPLES, MAX_SUBJECTS, EvaluationOrder, OrderedSubject
from suti_pipeline.convert import check_length

_MAX_CLASS, _MAX_NAME, _MAX_STEPS, _MAX_GUIDANCE = 100, 200, 1_000, 100.0
_SAMPLES = 4


def order_from_proto(request: pb.EvaluateModelRequest, promoted: Callable[[], str]) -> EvaluationOrder:
    """The order, its defaults filled in.

    Raises:
        InvalidArgument: the field is named.
        UnknownProtocol: there is no such protocol.
    """
    check_length("created_by", request.created_by, _MAX_NAME)
    for field in ("model", "prompts", "protocol", "dino", "clip"):
        check_length(field, getattr(request, field), _MAX_NAME)
    if not 1 <= len(request.subjects) <= MAX_SUBJECTS:
        raise InvalidArgument("subjects", f"{len(request.subjects)}: send 1 to {MAX_SUBJECTS}")
    if len({one.subject_id for one in request.subjects}) < len(request.subjects):
        raise InvalidArgument("subjects", "one is named twice: name each once")
    for index, one in enumerate(request.subjects):
        if not 1 <= len(one.class_word.strip()) <= _MAX_CLASS:
            raise InvalidArgument(
                f"subjects[{index}].class_word", f"say what it is, in at most {_MAX_CLASS} characters"
            )
    prompts = request.prompts or SETS[0]
    if prompts not in SETS:
        raise InvalidArgument("prompts", f"{prompts[:64]!r}: name one of {', '.join(SETS)}")
    if request.samples > MAX_SAMPLES:
        raise InvalidArgument("samples", f"{request.samples}: ask for 1 to {MAX_SAMPLES}")
    if request.seed >= 2**63:
        raise InvalidArgument("seed", f"{request.seed} is too large: give one below 2^63")
    if request.steps > _MAX_STEPS:
        raise InvalidArgument("steps", f"{request.steps}: ask for 1 to {_MAX_STEPS}")
    if request.HasField("guidance") and not 0 <= request.guidance <= _MAX_GUIDANCE:
        raise InvalidArgument("guidance", f"{request.guidance:g}: give 0 to {_MAX_GUIDANCE:g}")
    order = EvaluationOrder(
        model=request.model or _or_refuse(promoted),
        subjects=tuple(
            OrderedSubject(subject_id=one.subject_id, class_word=one.class_word.strip()) for one in request.subjects
        ),
        prompts=prompts,
        numbers=tuple(sorted(set(request.prompt_numbers))),
        samples=request.samples or _SAMPLES,
        protocol=request.protocol or "dreambench",
        dino=request.dino or "dino",
        clip=request.clip or "clip",
        seed=request.seed,
        steps=request.steps,
        guidance=request.guidance if request.HasField("guidance") else None,
    )
    order.check()
    return order


def _or_refuse(promoted: Callable[[], str]) -> str:
    try:
        return promoted()
    except ObjectMissing:
        raise InvalidArgument(
            "model", "none is promoted: name one of the generation service's ListModels, or promote an apprentice"
        ) from None
