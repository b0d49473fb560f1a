"""Rivals that nothing is tuned for: the base alone, and models that look at demonstrations in their context.

Legend: N pictures, K demonstrations, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor

from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.subject import GivenSubject
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel


@dataclass(frozen=True)
class ContextDrawer:
    """Draws with a subject in mind, or without one: then it is the model without demonstrations."""

    model: SubjectModel
    subject: SubjectContext | None
    losses: tuple[float, ...] = field(default=())  # of the steps it was tuned for, where it was

    def draw(self, prompts: Sequence[str], seeds: Sequence[int], *, recipe: SamplingRecipe) -> Tensor:
        """As `Drawer` promises; `recipe.batch_pictures` at a time."""
        drawn: list[Tensor] = []
        for start in range(0, len(prompts), recipe.batch_pictures):
            some = slice(start, start + recipe.batch_pictures)
            rows_NCHW = draw_subject_pictures(
                self.model, prompts=prompts[some], seeds=seeds[some], subject=self.subject, recipe=recipe
            )
            drawn.append(to_pictures(self.model.base, rows_NCHW).cpu())
        return torch.cat(drawn)


class BaseAlone(BaseModel):
    """The text-to-image base without demonstrations: what the prompt alone is worth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["base"] = "base"

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ContextDrawer:
        """The model as it is; it sees nothing of the subject."""
        del subject, seed, callback
        return ContextDrawer(start, None)


class InContext(BaseModel):
    """A model that sees the subject in its context: no step is tuned.

    Re-Imagen mode (Chen et al. 2022) where it was trained on raw clusters, SuTI where experts taught it (SuTI, section
    3, "Inference"). Which of them it is, is a matter of the weights it starts from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["re-imagen", "suti"] = "suti"
    shown: PositiveInt = 4  # demonstrations at most (SuTI, section 5, "Inference")

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ContextDrawer:
        """The model with the first demonstrations encoded."""
        del seed, callback
        return ContextDrawer(start, context_of(start, subject, shown=self.shown))


def context_of(model: SubjectModel, subject: GivenSubject, *, shown: int) -> SubjectContext:
    """Keys and values of a subject's first demonstrations."""
    return encode_subject(model, subject.pictures_KCHW[:shown], subject.texts[:shown])
