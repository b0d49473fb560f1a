"""What an expert is shown at each step: chances from its own generator, over material that is encoded once.

Legend: P pictures of a cluster, N pictures of one expert's step, M of all experts' step; C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.latents import to_model_space
from suti.ml.experts.recipe import ExpertRecipe


@dataclass(frozen=True)
class Chances:
    """One step of one expert. `picture_N` indexes the expert's material, `text_N` its texts, the empty one last."""

    picture_N: Tensor
    text_N: Tensor
    t_N: Tensor
    noise_NCHW: Tensor


class Dice:
    """An expert's chances, step by step, from one generator in a fixed order: a matter of its seed alone."""

    def __init__(
        self, *, seed: int, pictures: int, recipe: ExpertRecipe, noise_levels: int, shape_CHW: Sequence[int]
    ) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._pictures = pictures
        self._recipe = recipe
        self._noise_levels = noise_levels
        self._shape_NCHW = (recipe.batch_pictures, *shape_CHW)

    def throw(self) -> Chances:
        """The next step's, on the CPU."""
        count, generator = self._recipe.batch_pictures, self._generator
        side_N = torch.randint(0, 2 if self._recipe.flip else 1, (count,), generator=generator)
        index_N = torch.randint(0, self._pictures, (count,), generator=generator)
        silent_N = torch.rand(count, generator=generator) < self._recipe.text_dropout
        t_N = torch.randint(0, self._noise_levels, (count,), generator=generator)
        noise_NCHW = torch.randn(self._shape_NCHW, generator=generator)
        return Chances(
            picture_N=side_N * self._pictures + index_N,
            text_N=torch.where(silent_N, self._pictures, index_N),
            t_N=t_N,
            noise_NCHW=noise_NCHW,
        )


def encode_pictures(base: Base, pictures_PCHW: Tensor, *, flip: bool) -> Tensor:
    """A cluster's pictures in model space, then the mirrored ones where they are asked for.

    Shapes: (P, 3, H, W) in [-1, 1] -> (P or 2 P, c, h, w). A mirrored latent is no mirrored picture's latent.
    """
    sides = [pictures_PCHW, pictures_PCHW.flip(-1)] if flip else [pictures_PCHW]
    return torch.cat([to_model_space(base, side_PCHW) for side_PCHW in sides]).to(base.device)
