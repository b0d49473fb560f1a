"""What a system drew, kept subject by subject: drawn once for all experiments, and gone on with after an interruption.

Legend: N pictures of a subject, K demonstrations, C channels, H height, W width.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.local.demo.judge import opened
from suti.local.demo.unseen import stranger_renders, true_renders
from suti.ml.apprentice.training import TrainingDiverged
from suti.ml.diffusion.pixels import picture_to_tensor, to_pixels
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import require_numbers
from suti.ml.experts.tuning import ExpertDiverged
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.subject import GivenSubject
from suti.ml.rivals.untuned import BaseAlone
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.reproduce.cells import Cell
from suti.reproduce.sources import Source, is_ready, sha256_of
from suti.reproduce.subject_sets import Asked, SubjectSet

DRAWINGS = "drawings"
_HEADER = "suti"


class Truth(BaseModel):
    """No rival at all: exact renders of the subject, or of somebody else of its class, in the prompt's view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["real", "stranger"]


class DrawingCell(Cell):
    """Who draws which subjects. Experiments that ask for the same share what was drawn."""

    experiment: str = DRAWINGS
    condition: str = ""
    rival: AnyRival | Truth
    source: Source | None = None  # the model that it starts from; none for the truth
    shown: int = 4  # demonstrations that it is handed; 0: none, and whoever it is draws without
    subjects: SubjectSet
    sampling: SamplingRecipe | None = None
    seed: int = 0  # of tunings

    def part(self, out: Path, number: int) -> Path:
        """Where a subject's pictures lie."""
        return out / DRAWINGS / self.name / f"{number:04d}.safetensors"

    def model_sha256(self, out: Path) -> str | None:
        """Of the model that draws now: "" for the truth, None while there is no model."""
        if self.source is None:
            return ""
        return sha256_of(self.source, out) if is_ready(self.source, out) else None

    def parts(self, out: Path) -> list[Path]:
        """Where the pictures lie that were drawn by the model there is now; what another one drew does not count."""
        model = self.model_sha256(out)
        paths = [self.part(out, number) for number in range(self.subjects.subjects)]
        return [path for path in paths if path.exists() and _header(path)["model_sha256"] == model]

    def missing(self, out: Path) -> list[int]:
        """The subjects that its model has not drawn yet."""
        there = set(self.parts(out))
        return [number for number in range(self.subjects.subjects) if self.part(out, number) not in there]


@dataclass(frozen=True)
class Part:
    """One subject's pictures; seconds are those of one core, whatever else the machine did."""

    pictures_NCHW: Tensor  # uint8
    prompt: str
    seeds: Sequence[int]
    prepare_seconds: float  # tuning it, or encoding its demonstrations
    draw_seconds: float  # all N pictures
    first_seconds: float = 0.0  # of these, the first picture, which is drawn alone
    failed: str = ""  # why there are no pictures
    model_sha256: str = ""  # who drew; the truth has none

    @property
    def first_picture_seconds(self) -> float:
        """From the demonstrations to the first picture: all tuning, and drawing it alone."""
        return self.prepare_seconds + self.first_seconds


def draw_parts(cell: DrawingCell, numbers: Sequence[int], out: Path) -> None:
    """Draw these subjects and keep each as it is done."""
    missing = set(cell.missing(out))
    for number in (one for one in numbers if one in missing):
        _save(_drawn(cell, cell.subjects.asked(number), out), cell.part(out, number))


def load_part(path: Path) -> Part:
    """What `draw_parts` kept of one subject."""
    with cast("Any", safe_open(path, framework="pt")) as file:
        return Part(pictures_NCHW=file.get_tensor("pictures"), **json.loads(file.metadata()[_HEADER]))


def _header(path: Path) -> dict[str, Any]:
    with cast("Any", safe_open(path, framework="pt")) as file:
        return json.loads(file.metadata()[_HEADER])


def _save(part: Part, path: Path) -> None:
    header = {name: value for name, value in asdict(part).items() if name != "pictures_NCHW"}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    save_file({"pictures": part.pictures_NCHW.contiguous()}, new, metadata={_HEADER: json.dumps(header)})
    new.replace(path)


def _drawn(cell: DrawingCell, asked: Asked, out: Path) -> Part:
    if isinstance(cell.rival, Truth):
        render = true_renders if cell.rival.rival == "real" else stranger_renders
        pictures_NCHW = render(asked.unseen, asked.wanted, len(asked.seeds), size_px=_size_px(asked))
        return Part(pictures_NCHW, asked.wanted.text, asked.seeds, 0.0, 0.0)
    if cell.source is None or cell.sampling is None:
        raise ValueError(f"{cell.name}: a rival starts from a model and has a way to sample")
    sha256 = sha256_of(cell.source, out)
    return replace(drawn_with(_model(cell.source.folder(out), sha256), cell, asked), model_sha256=sha256)


def drawn_with(model: SubjectModel, cell: DrawingCell, asked: Asked) -> Part:
    """What the cell's rival draws of a subject, starting from this model.

    Raises:
        ValueError: the cell is of the truth, or does not say how to sample.
    """
    if isinstance(cell.rival, Truth) or cell.sampling is None:
        raise ValueError(f"{cell.name}: only a rival that has a way to sample draws with a model")
    began = prepared = first = time.process_time()
    rival = cell.rival if cell.shown else BaseAlone()
    subject = given_subject(asked, max(1, cell.shown), model.base.size_px)
    failed, pixels_NCHW = "", torch.empty(0, *model.base.shape_CHW, dtype=torch.uint8)
    try:
        drawer = rival.prepare(model, subject, seed=derive_seed(cell.seed, "reproduce-rival", asked.unseen.number))
        prepared = time.process_time()
        recipe = cell.sampling.model_copy(update={"batch_pictures": len(asked.seeds)})
        drawn_NCHW = drawer.draw([asked.wanted.text], asked.seeds[:1], recipe=recipe)
        first = time.process_time()
        if rest := asked.seeds[1:]:
            others_NCHW = drawer.draw([asked.wanted.text] * len(rest), rest, recipe=recipe)
            drawn_NCHW = torch.cat([drawn_NCHW, others_NCHW])
        require_numbers(drawn_NCHW)
        pixels_NCHW = to_pixels(drawn_NCHW)
    except (ExpertDiverged, TrainingDiverged) as error:  # the same seed would end there again
        failed = str(error)
    return Part(
        pixels_NCHW,
        asked.wanted.text,
        asked.seeds,
        prepare_seconds=round(prepared - began, 3),
        draw_seconds=round(time.process_time() - prepared, 3),
        first_seconds=round(max(0.0, first - prepared), 3),
        failed=failed,
    )


def given_subject(asked: Asked, shown: int, size_px: int) -> GivenSubject:
    """The subject's first demonstrations, as a rival is handed them."""
    some = asked.unseen.demonstrations[:shown]
    pictures_KCHW = torch.stack([picture_to_tensor(opened(one.png), size_px) for one in some])
    return GivenSubject(pictures_KCHW, [one.text for one in some], asked.unseen.subject.kind)


def _size_px(asked: Asked) -> int:
    return opened(asked.unseen.demonstrations[0].png).width


@lru_cache(maxsize=2)
def _model(folder: Path, sha256: str) -> SubjectModel:
    del sha256  # other weights in the same folder are another model
    model = load_subject_model(folder)
    model.network.eval().requires_grad_(requires_grad=False)
    return model
