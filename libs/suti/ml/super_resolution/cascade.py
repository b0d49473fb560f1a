"""One super-resolution model after the other: each is given what the one before it would have saved.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from suti.ml.diffusion.pixels import as_a_file_has_them
from suti.ml.super_resolution.drawing import OnStep, enlarge, enlarging_seeds
from suti.ml.super_resolution.files import SuperResolutionModel
from suti.ml.super_resolution.recipe import EnlargingRecipe


@dataclass(frozen=True)
class CascadeStage:
    """A model and how to enlarge with it."""

    model: SuperResolutionModel
    recipe: EnlargingRecipe


def enlarge_in_stages(
    stages: Sequence[CascadeStage],
    pictures_NCHW: Tensor,
    *,
    prompts: Sequence[str],
    seeds: Sequence[int],
    avoid: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> Tensor:
    """Each picture after all stages; `seeds` are those that the pictures were drawn with.

    Shapes: (N, 3, H, W) in [-1, 1] -> (N, 3, F H, F W) in [-1, 1], with F the product of the stages' factors.

    Raises:
        SizeDoesNotFit: a stage does not enlarge pictures of the size that reaches it.
    """
    for stage in stages:
        pictures_NCHW = enlarge(
            stage.model,
            as_a_file_has_them(pictures_NCHW),
            prompts=prompts,
            seeds=enlarging_seeds(seeds, pictures_NCHW.shape[-1], pictures_NCHW.shape[-2]),
            recipe=stage.recipe,
            avoid=avoid,
            on_step=on_step,
        )
    return pictures_NCHW
