"""What the toy models are shown: captioned pictures for CLIP and the base, raw clusters for the warm start.

Legend: P pictures, N pictures of a batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.diffusion.text import TextEncoder
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
        return self.pictures_PCHW[index_N].float() / 127.5 - 1.0, texts

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


def raw_clusters(drawings: Drawings, text: TextEncoder) -> ExampleSet:
    """Each subject's pictures, to be drawn given the others; captions name class and scene, never the traits.

    So that a picture's identity can come from its demonstrations alone.
    """
    said = [caption(subject, view, detail=0.0) for subject, view in zip(drawings.subjects, drawings.views, strict=True)]
    texts = sorted(set(said))
    number = {sentence: index for index, sentence in enumerate(texts)}
    each = drawings.views_each
    shown = [Shown(row, number[sentence]) for row, sentence in enumerate(said)]
    clusters = [tuple(shown[start : start + each]) for start in range(0, len(shown), each)]
    return ExampleSet(
        pictures_PCHW=drawings.pictures_PCHW,
        texts=text.encode([*texts, ""]),
        subjects=[SubjectExamples(demonstrations=cluster, targets=cluster) for cluster in clusters],
    )
