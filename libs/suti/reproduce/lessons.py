"""What a teacher drew for one cluster, measured by the filter: one file each, so that a set can be made piece by piece.

Legend: K demonstrations, N candidates, C channels, H height, W width.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from suti.ml.quality.verdicts import Scores
from suti.toyworld.subjects import Subject

_HEADER = "suti"


@dataclass(frozen=True)
class Lesson:
    """A cluster's pictures, and what was drawn of its subject for other prompts."""

    number: int
    subject: Subject  # for the exact judge alone
    texts: Sequence[str]
    demonstrations_KCHW: Tensor  # uint8
    prompts: Sequence[str]  # of each candidate
    candidates_NCHW: Tensor  # uint8
    scores: Sequence[Scores]  # of each candidate, by the product's CLIP
    seconds: float  # tuning and drawing


def save_lesson(lesson: Lesson, path: Path) -> None:
    """Write it, whole or not at all."""
    header = {
        "number": lesson.number,
        "subject": asdict(lesson.subject),
        "texts": list(lesson.texts),
        "prompts": list(lesson.prompts),
        "scores": [asdict(scores) for scores in lesson.scores],
        "seconds": lesson.seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    tensors = {"demonstrations": lesson.demonstrations_KCHW, "candidates": lesson.candidates_NCHW}
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, new, metadata={_HEADER: json.dumps(header)}
    )
    new.replace(path)


def load_lesson(path: Path) -> Lesson:
    """Read what `save_lesson` wrote."""
    with cast("Any", safe_open(path, framework="pt")) as file:
        header: dict[str, Any] = json.loads(file.metadata()[_HEADER])
        demonstrations_KCHW: Tensor = file.get_tensor("demonstrations")
        candidates_NCHW: Tensor = file.get_tensor("candidates")
    return Lesson(
        number=header["number"],
        subject=Subject(**header["subject"]),
        texts=header["texts"],
        demonstrations_KCHW=demonstrations_KCHW,
        prompts=header["prompts"],
        candidates_NCHW=candidates_NCHW,
        scores=[Scores(**scores) for scores in header["scores"]],
        seconds=header["seconds"],
    )
