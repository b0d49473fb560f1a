"""What the apprentice learns from, laid out for training: a batch is a pure function of the step.

Legend: S subjects, K demonstrations of each, T targets of each, P pictures, U distinct texts, C channels, H height,
W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from suti.core.errors import PermanentError
from suti.core.seeds import derive_seed
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.diffusion.pixels import from_pixels
from suti.ml.diffusion.text import TextEmbedding


class NoExamples(PermanentError):
    """There is nothing to learn from."""

    reason = "NO_EXAMPLES"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture with its text, by index."""

    picture: int
    text: int


@dataclass(frozen=True, slots=True)
class SubjectExamples:
    """One subject: what may be demonstrated and what should then be drawn.

    A target that is itself among the demonstrations (raw clusters, the Re-Imagen mode) is never shown to itself.
    """

    demonstrations: tuple[Shown, ...]
    targets: tuple[Shown, ...]


@dataclass(frozen=True)
class Batch:
    """One step's work; everything random in it comes from the step's own generator."""

    demonstrations_SKCHW: Tensor  # [-1, 1]
    captions: TextEmbedding  # S x K rows
    targets_NCHW: Tensor  # [-1, 1], N = S x T, targets of one subject side by side
    text: TextEmbedding  # N rows; dropped ones hold the empty text
    keep_N: Tensor  # 1.0: sees its demonstrations
    generator: torch.Generator  # for noise levels and noise, next; of the CPU, so that they are alike on every device

    def part(self, first: int, end: int) -> tuple["Batch", slice]:
        """The work of some subjects alone, and which targets these are. The generator stays that of all."""
        subjects, demonstrations = self.demonstrations_SKCHW.shape[:2]
        targets = len(self.targets_NCHW) // subjects
        rows = slice(first * targets, end * targets)
        part = replace(
            self,
            demonstrations_SKCHW=self.demonstrations_SKCHW[first:end],
            captions=self.captions.select(range(first * demonstrations, end * demonstrations)),
            targets_NCHW=self.targets_NCHW[rows],
            text=self.text.select(range(rows.start, rows.stop)),
            keep_N=self.keep_N[rows],
        )
        return part, rows

    def to(self, device: torch.device) -> "Batch":
        """The same step's work with its tensors on a device; the generator stays where it is."""
        return replace(
            self,
            demonstrations_SKCHW=self.demonstrations_SKCHW.to(device),
            captions=self.captions.to(device),
            targets_NCHW=self.targets_NCHW.to(device),
            text=self.text.to(device),
            keep_N=self.keep_N.to(device),
        )


@dataclass(frozen=True)
class ExampleSet:
    """All subjects with their pictures and texts, in memory, each picture and each text held once."""

    pictures_PCHW: Tensor  # uint8 pixels, or float32 where they lie in a base's own space already (latents)
    texts: TextEmbedding  # U rows, and the empty text as the last
    subjects: Sequence[SubjectExamples]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise NoExamples("no example was kept: lower filtering.min_gain or look at the verdicts (suti run why)")

    def batch(self, step: int, *, recipe: ApprenticeRecipe, seed: int) -> Batch:
        """The batch of a step, the same whenever and wherever it is asked for (so that training can be resumed)."""
        generator = torch.Generator().manual_seed(derive_seed(seed, "apprentice", "batch", step))
        picked = self._pick_subjects(recipe.batch_subjects, generator)
        shown: list[Shown] = []
        asked: list[Shown] = []
        for index in picked:
            demonstrations, targets = self._deal(self.subjects[index], recipe, generator)
            shown += demonstrations
            asked += targets
        count = len(asked)
        text_N = torch.tensor([target.text for target in asked])
        text_N[torch.rand(count, generator=generator) < recipe.text_dropout] = -1
        keep_N = (torch.rand(count, generator=generator) >= recipe.demonstration_dropout).float()
        shape = (len(picked), recipe.demonstrations)
        return Batch(
            demonstrations_SKCHW=self._pixels(shown).unflatten(0, shape),
            captions=self.texts.select([demo.text for demo in shown]),
            targets_NCHW=self._pixels(asked),
            text=self.texts.select(text_N),
            keep_N=keep_N,
            generator=generator,
        )

    def _pick_subjects(self, count: int, generator: torch.Generator) -> list[int]:
        rounds = -(-count // len(self.subjects))
        order = torch.cat([torch.randperm(len(self.subjects), generator=generator) for _ in range(rounds)])
        return order[:count].tolist()

    def _deal(
        self, subject: SubjectExamples, recipe: ApprenticeRecipe, generator: torch.Generator
    ) -> tuple[list[Shown], list[Shown]]:
        demonstrations = _draw(subject.demonstrations, recipe.demonstrations, generator)
        hidden = {demo.picture for demo in demonstrations}
        free = [target for target in subject.targets if target.picture not in hidden]
        return demonstrations, _draw(free or subject.targets, recipe.targets_per_subject, generator)

    def _pixels(self, rows: Sequence[Shown]) -> Tensor:
        picked = self.pictures_PCHW[[row.picture for row in rows]]
        return from_pixels(picked) if picked.dtype == torch.uint8 else picked


def _draw(items: Sequence[Shown], count: int, generator: torch.Generator) -> list[Shown]:
    """`count` items without repeats as far as there are enough."""
    rounds = -(-count // len(items))
    order = torch.cat([torch.randperm(len(items), generator=generator) for _ in range(rounds)])
    return [items[index] for index in order[:count].tolist()]
