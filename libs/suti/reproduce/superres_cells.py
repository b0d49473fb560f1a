"""Pictures of some unseen subjects, enlarged by the toy cascade and by bicubic, and what is measured of each.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.local.demo.judge import opened
from suti.local.demo.unseen import Unseen, Wanted, true_renders, unseen_subjects
from suti.local.folder import packaged_models
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.pixels import as_a_file_has_them, as_tensor, from_pixels, picture_to_tensor, tensor_to_picture
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.ml.super_resolution.cascade import CascadeStage, enlarge_in_stages
from suti.ml.super_resolution.fidelity import psnr_db, ssim
from suti.ml.super_resolution.files import SuperResolutionModel, load_super_resolution
from suti.ml.super_resolution.recipe import EnlargingRecipe
from suti.reproduce.cells import Cell
from suti.stages.generation.entries import entry_of_folder
from suti.toyworld.oracle.layers import SIDE_PX
from suti.toyworld.oracle.lineup import Lineup

RENDERS, DRAWINGS = "renders of unseen subjects", "drawings of them by the warm start"
SOURCES = (RENDERS, DRAWINGS)
IDENTIFIED, PSNR, SSIM = "identified_16way", "psnr_db", "ssim"
MEASURES = (PSNR, SSIM, IDENTIFIED)
_DEMONSTRATIONS = 4

# What is measured of a picture: by who made it, by measure.
type Measured = Mapping[str, Mapping[str, float]]


class SuperresCell(Cell):
    """Some subjects, each in its prompt's view: rendered in several poses, and drawn as often."""

    subjects: tuple[int, ...]
    pictures_each: int
    seed: int
    drawer: str
    drawer_sha256: str
    enlarger: str
    enlarger_sha256: str
    enlarging: EnlargingRecipe
    oracle: str  # the judge's version


def own_recipe(enlarger: str) -> EnlargingRecipe:
    """How a packaged model enlarges unless it is told otherwise."""
    recipe = entry_of_folder(enlarger, "", packaged_models() / enlarger).enlarging
    if recipe is None:
        raise TypeError(f"{enlarger} is no super-resolution model: name one")
    return recipe


def measure_superres(cell: SuperresCell) -> dict[str, Any]:
    """Every picture of the cell with what was measured of it."""
    subjects = unseen_subjects(
        max(cell.subjects) + 1, demonstrations=_DEMONSTRATIONS, prompts_each=1, size_px=SIDE_PX, seed=cell.seed
    )
    pictures: list[dict[str, Any]] = []
    for number in cell.subjects:
        unseen = subjects[number]
        (wanted,) = unseen.wanted
        lineup = Lineup(unseen.subject, unseen.others)
        seeds = [derive_seed(wanted.seed, "generation", index) for index in range(cell.pictures_each)]
        for source, small, true in _sources(cell, unseen, wanted, seeds):
            measured = _measured(cell, lineup, wanted, small, true, seeds)
            pictures += [{"subject": unseen.name, "source": source, "measured": one} for one in measured]
    return {"pictures": pictures}


def _sources(
    cell: SuperresCell, unseen: Unseen, wanted: Wanted, seeds: Sequence[int]
) -> list[tuple[str, Tensor, Tensor | None]]:
    """Small pictures by where they come from, with the large truth where there is one; in [-1, 1]."""
    small_NCHW, true_NCHW = (
        from_pixels(true_renders(unseen, wanted, len(seeds), size_px=side)) for side in (SIDE_PX, 4 * SIDE_PX)
    )
    return [(RENDERS, small_NCHW, true_NCHW), (DRAWINGS, _drawn(cell, unseen, wanted, seeds), None)]


def _drawn(cell: SuperresCell, unseen: Unseen, wanted: Wanted, seeds: Sequence[int]) -> Tensor:
    model = _drawer(cell.drawer)
    shown_KCHW = torch.stack([picture_to_tensor(opened(one.png), SIDE_PX) for one in unseen.demonstrations])
    subject = encode_subject(model, shown_KCHW, [one.text for one in unseen.demonstrations])
    recipe = entry_of_folder(cell.drawer, "", packaged_models() / cell.drawer).sampling
    drawn_NCHW = draw_subject_pictures(
        model, prompts=[wanted.text] * len(seeds), seeds=seeds, subject=subject, recipe=recipe
    )
    return as_a_file_has_them(to_pictures(model.base, drawn_NCHW))


def _measured(  # noqa: PLR0917 - private, one caller
    cell: SuperresCell,
    lineup: Lineup,
    wanted: Wanted,
    small_NCHW: Tensor,
    true_NCHW: Tensor | None,
    seeds: Sequence[int],
) -> Sequence[Measured]:
    stage = CascadeStage(_enlarger(cell.enlarger), cell.enlarging)
    enlarged_NCHW = enlarge_in_stages([stage], small_NCHW, prompts=[wanted.text] * len(seeds), seeds=seeds)
    large = {"bicubic": bicubic(small_NCHW), "superres": as_a_file_has_them(enlarged_NCHW)}
    if true_NCHW is not None:
        large["real"] = true_NCHW
    judged = {"small": small_NCHW} | {name: F.avg_pool2d(one, 4) for name, one in large.items()}
    # One call for all: a line-up's renders are dear, and its correlations are shared.
    identified = lineup.identified(torch.cat([(one + 1) * 127.5 for one in judged.values()]), wanted.view)
    found: list[dict[str, dict[str, float]]] = [{} for _ in seeds]
    for place, name in enumerate(judged):
        for row, measured in enumerate(found):
            measured[name] = {IDENTIFIED: float(identified[place * len(seeds) + row])}
    if true_NCHW is not None:
        for name in ("bicubic", "superres"):
            pair = ((large[name] + 1) / 2, (true_NCHW + 1) / 2)
            for row, (decibels, alike) in enumerate(zip(psnr_db(*pair).tolist(), ssim(*pair).tolist(), strict=True)):
                found[row][name] |= {PSNR: decibels, SSIM: alike}
    return found


def bicubic(small_NCHW: Tensor) -> Tensor:
    """Pictures four times as wide and high by Pillow's bicubic filter. Shapes: (N, C, H, W) in [-1, 1], the same."""
    side = 4 * small_NCHW.shape[-1]
    small = [tensor_to_picture(picture_CHW) for picture_CHW in small_NCHW]
    return torch.stack([as_tensor(picture.resize((side, side), Image.Resampling.BICUBIC)) for picture in small])


@cache
def _drawer(name: str) -> SubjectModel:
    model = load_subject_model(packaged_models() / name)
    model.network.eval().requires_grad_(requires_grad=False)
    return model


@cache
def _enlarger(name: str) -> SuperResolutionModel:
    return load_super_resolution(packaged_models() / name)
