"""What CLIP and the base are shown: captioned pictures.

Legend: P pictures, N pictures of a batch, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.diffusion.pixels import from_pixels
from suti.toyworld.captions import caption
from suti.toyworld.training.drawings import Drawings
from suti.toyworld.views import View


@dataclass(frozen=True)
class CaptionedPool:
    """Pictures with several true captions each."""

    pictures_PCHW: Tensor  # uint8
    captions: Sequence[Sequence[str]]
    weights_P: Tensor  # how often each is shown, in proportion
    seed: int = 0

    def captioned(self, step: int, count: int) -> tuple[Tensor, list[str]]:
        """The pictures of a step with one of their captions each. Shapes: (N, C, H, W) in [-1, 1], N texts."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "pool", step))
        index_N = torch.multinomial(self.weights_P, count, replacement=True, generator=generator)
        choice_N = torch.rand(count, generator=generator)
        texts: list[str] = [
            self.captions[int(index)][int(choice * len(self.captions[int(index)]))]
            for index, choice in zip(index_N.tolist(), choice_N.tolist(), strict=True)
        ]
        return from_pixels(self.pictures_PCHW[index_N]), texts

    def all_texts(self) -> list[str]:
        """Every distinct caption."""
        return sorted({text for texts in self.captions for text in texts})


def captioned_pool(
    *drawings: Drawings, seed: int = 0, weight: Callable[[View], float] = lambda _: 1.0
) -> CaptionedPool:
    """All pictures, each with what can be said in full, in part, and of the class alone, shown as often as its view
    weighs.
    """
    captions = [
        [
            caption(subject, view, seed=derive_seed(seed, "caption", row, share), detail=detail)
            for share, detail in enumerate((1.0, 0.6, 0.3, 0.0))
        ]
        for drawn in drawings
        for row, (subject, view) in enumerate(zip(drawn.subjects, drawn.views, strict=True))
    ]
    weights_P = torch.tensor([weight(view) for drawn in drawings for view in drawn.views])
    return CaptionedPool(torch.cat([drawn.pictures_PCHW for drawn in drawings]), captions, weights_P, seed)
