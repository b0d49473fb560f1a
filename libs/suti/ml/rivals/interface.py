"""What all ways to draw a subject have in common: prepare them for a subject, then draw prompts with seeds.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.rivals.subject import GivenSubject
from suti.ml.subject.files import SubjectModel

# Called after each step of tuning with (steps done, steps in all, that step's loss).
StepsDone = Callable[[int, int, float], None]


class Drawer(Protocol):
    """A rival that knows its subject."""

    def draw(self, prompts: Sequence[str], seeds: Sequence[int], *, recipe: SamplingRecipe) -> Tensor:
        """A picture for each prompt and seed; a seed is the same noise for every rival.

        Prompts name the subject by its class, "a photo of a fish in space"; what a rival calls it is its own affair.

        Shapes: N prompts, N seeds -> (N, 3, H, W), float32 in [-1, 1], on the CPU.
        """
        ...


class Rival(Protocol):
    """A small frozen recipe: how a model gets to know a subject."""

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> Drawer:
        """Whoever draws this subject. The model that it starts from stays as it is; the same seed, the same drawer."""
        ...
