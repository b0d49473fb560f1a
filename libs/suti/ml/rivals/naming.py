"""Rivals that know their subject by a name of their own.

Legend: N pictures, H height, W width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.tuning import Expert


@dataclass(frozen=True)
class NamingDrawer:
    """An expert, and how it calls its subject: texts that say the class become texts that say the name."""

    expert: Expert
    name: Callable[[Sequence[str]], list[str]]

    @property
    def losses(self) -> tuple[float, ...]:
        """Of each step of its tuning."""
        return self.expert.losses

    def draw(self, prompts: Sequence[str], seeds: Sequence[int], *, recipe: SamplingRecipe) -> Tensor:
        """As `Drawer` promises.

        Raises:
            InvalidArgument: a prompt does not name the class.
            ExpertDiverged: a picture is not made of numbers.
        """
        orders = [Order(prompt, seed) for prompt, seed in zip(self.name(prompts), seeds, strict=True)]
        return torch.stack(list(draw_candidates(self.expert, orders, recipe=recipe)))
