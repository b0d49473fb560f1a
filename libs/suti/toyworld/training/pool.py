"""What CLIP and the base are shown: captioned pictures.

Legend: P pictures, N pictures of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.diffusion.pixels import from_pixels
from suti.toyworld.captions import caption
from suti.toyworld.training.drawings import Drawings


@dataclass(frozen=True)
class CaptionedPool:
    """Pictures with several true captions each."""

    pictures_PCHW: Tensor  # uint8
    captions: Sequence[Sequence[str]]
    seed: int = 0

    def captioned(self, step: int, count: int) -> tuple[Tensor, list[str]]:
        """The pictures of a step with one of their captions each. Shapes: (N, C, H, W) in [-1, 1], N texts."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "pool", step))
        index_N = torch.randint(0, len(self.captions), (count,), generator=generator)
        choice_N = torch.rand(count, generator=generator)
        texts: list[str] = [
            self.captions[int(index)][int(choice * len(self.captions[int(index)]))]
            for index, choice in zip(index_N.tolist(), choice_N.tolist(), strict=True)
        ]
        return from_pixels(self.pictures_PCHW[index_N]), texts

    def all_texts(self) -> list[str]:
        """Every distinct caption."""
        return sorted({text for texts in self.captions for text in texts})


def captioned_pool(*drawings: Drawings, seed: int = 0) -> CaptionedPool:
    """All pictures, each with what can be said in full, in part, and of the class alone."""
    captions = [
        [
            caption(subject, view, seed=derive_seed(seed, "caption", row, share), detail=detail)
            for share, detail in enumerate((1.0, 0.6, 0.3, 0.0))
        ]
        for drawn in drawings
        for row, (subject, view) in enumerate(zip(drawn.subjects, drawn.views, strict=True))
    ]
    return CaptionedPool(torch.cat([drawn.pictures_PCHW for drawn in drawings]), captions, seed)
