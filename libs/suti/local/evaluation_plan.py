"""From what a person says on the command line to the plan of an evaluation, its models and its subjects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suti.core.errors import InvalidArgument
from suti.local.folder import packaged_models
from suti.ml.clip.encoder import load_clip
from suti.ml.evaluation.dino import load_dino
from suti.ml.evaluation.prompts import prompt_set
from suti.ml.evaluation.protocols import named_protocol
from suti.ml.evaluation.segmenter import load_segmenter
from suti.stages.evaluation.measuring import MeasuringModels
from suti.stages.evaluation.plan import EvaluationPlan, System
from suti.stages.evaluation.rows import library_versions
from suti.stages.evaluation.subjects import EvaluationSubject, subjects_in
from suti.stages.evaluation.work import planned


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted of an evaluation, but for who draws."""

    subjects: Path
    prompts: str
    numbers: tuple[int, ...]
    samples: int
    demonstrations: int
    protocol: str
    dino: str
    clip: str
    segmenter: str
    classes: Mapping[str, str]
    live: frozenset[str]  # classes that are alive, beside those that the prompts know
    token: str
    seed: int
    real: bool


def plan_of(wish: Wish, system: System) -> tuple[EvaluationPlan, list[EvaluationSubject], MeasuringModels]:
    """The plan, frozen in every field, with its subjects and measuring models opened.

    Raises:
        InvalidArgument: a number of a prompt is out of range, or a subject has no class.
        BadConfiguration: no such protocol, prompts or models.
    """
    prompts, protocol = prompt_set(wish.prompts), named_protocol(wish.protocol)
    longest = max(map(len, prompts.templates.values()), default=0)
    if any(not 0 <= number < longest for number in wish.numbers):
        raise InvalidArgument("--only", f"prompts are numbered 0 to {longest - 1}: give some of these")
    if wish.live:
        prompts = prompts.model_copy(update={"live_classes": tuple(sorted({*prompts.live_classes, *wish.live}))})
    subjects = subjects_in(wish.subjects, prompts, classes=wish.classes)
    models = MeasuringModels(
        load_dino(_place(wish.dino)),
        load_clip(_place(wish.clip)),
        load_segmenter(_place(wish.segmenter)) if wish.segmenter else None,
    )
    plan = EvaluationPlan(
        system=system,
        protocol=protocol,
        protocol_id=models.protocol_id(protocol),
        prompts=Path(wish.prompts).stem,
        prompt_set=prompts,
        numbers=tuple(sorted(set(wish.numbers))),
        samples=wish.samples,
        token=wish.token,
        seed=wish.seed,
        real=wish.real,
        dino_sha256=models.dino.digest,
        clip_sha256=models.clip.digest,
        segmenter_sha256=models.segmenter.digest if models.segmenter else "",
        versions=library_versions(),
        subjects={one.name: planned(one, demonstrations=wish.demonstrations, protocol=protocol) for one in subjects},
    )
    return plan, subjects, models


def classes_from(pairs: Sequence[str]) -> dict[str, str]:
    """`["rex=dog"]` as a mapping. Raises InvalidArgument."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, word = pair.partition("=")
        if not (name and equals and word):
            raise InvalidArgument("--class", f"{pair!r}: write it as FOLDER=WORD, such as rex=dog")
        found[name] = word
    return found


def numbers_from(text: str) -> tuple[int, ...]:
    """`"0,5,20"` as numbers. Raises InvalidArgument."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InvalidArgument("--only", f"{text!r}: write numbers of prompts, such as 0,5,20") from None


def _place(name: str) -> str:
    """A measuring model that comes with Suti (`dino`, `clip`) by its short name; any other name as it is."""
    packaged = packaged_models() / name
    return str(packaged) if name and "/" not in name and packaged.is_dir() else name
