"""An experiment: a question, the conditions that answer it, and how the answer is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from suti.reproduce.conditions import FIRST_PICTURE, Condition
from suti.reproduce.rows import Row
from suti.reproduce.scale import Scale

COLUMNS: Mapping[str, str] = {
    "overall": "overall",
    "identified_16way": "identified among 16",
    "follows_prompt": "as asked",
    "clip_t": "CLIP-T",
    "clip_i": "CLIP-I",
    "dino": "DINO",
    FIRST_PICTURE: "seconds to first picture",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Experiment:
    """One table and one figure."""

    name: str
    question: str
    conditions: Sequence[Condition]
    figure: Callable[[Sequence[Row]], bytes]  # PNG
    about: str  # what differs, and what is the same
    columns: Mapping[str, str]
    finding: Callable[[Sequence[Row]], str] | None = None  # what the rows say, in words


def bounds(scale: Scale) -> list[Condition]:
    """What the exact judge gives to the subject itself, and to a stranger."""
    return [Condition("real", "", scale.truth("real")), Condition("chance", "", scale.truth("stranger"))]


def columns(*against: str, more: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The usual columns, those of comparisons, and more."""
    kinds = {
        "overall_minus": "overall minus",
        "overall_probability_above": "P above",
        "identified_16way_minus": "identified minus",
    }
    compared = {f"{kind}_{other}": f"{said} {other}" for other in against for kind, said in kinds.items()}
    return {"overall": COLUMNS["overall"], **compared, **(more or {}), **COLUMNS}
