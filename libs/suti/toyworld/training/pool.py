"""Pictures drawn once and trained on many times: what the toy models learn from.

Legend: P pictures, N pictures of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.core.seeds import derive_seed


@dataclass(frozen=True)
class CaptionedPool:
    """Pictures with several true captions each, shuffled anew for every round through them."""

    pictures_PCHW: Tensor  # uint8
    captions: Sequence[Sequence[str]]
    seed: int

    def captioned(self, step: int, count: int) -> tuple[Tensor, list[str]]:
        """The pictures of a step with one of their captions each. Shapes: (N, C, H, W) in [-1, 1], N texts."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "pool", step))
        index_N = torch.randint(0, len(self.captions), (count,), generator=generator)
        choice_N = torch.rand(count, generator=generator)
        texts = [
            self.captions[index][int(choice * len(self.captions[index]))]
            for index, choice in zip(index_N.tolist(), choice_N.tolist(), strict=True)
        ]
        return self.pictures_PCHW[index_N].float() / 127.5 - 1.0, texts

    def all_texts(self) -> list[str]:
        """Every distinct caption."""
        return sorted({text for texts in self.captions for text in texts})
