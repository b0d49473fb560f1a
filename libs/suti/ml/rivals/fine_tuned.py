"""Rivals whose UNet is tuned on the subject: DreamBooth with every weight, and with LoRA.

Legend: N pictures, P pictures that are tuned on, R prior pictures, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert, tune_expert
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.subject import GivenSubject, with_identifier
from suti.ml.subject.files import SubjectModel


@dataclass(frozen=True)
class ExpertDrawer:
    """An expert that answers to the class word."""

    expert: Expert
    kind: str
    identifier: str

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
        named = with_identifier(prompts, self.kind, self.identifier)
        orders = [Order(prompt, seed) for prompt, seed in zip(named, seeds, strict=True)]
        return torch.stack(list(draw_candidates(self.expert, orders, recipe=recipe)))


class DreamBooth(BaseModel):
    """DreamBooth (Ruiz et al. 2022, sections 3 and 4): every weight of the UNet, an identifier before the class word,
    and as many of the base's own pictures of the class as of the subject (prior preservation with weight 1).

    1,000 steps at 1e-5 with Adam are the paper's for Imagen. SuTI's own experts leave out identifier and prior pictures
    (SuTI, section 5, "Expert Models").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["dreambooth"] = "dreambooth"
    identifier: str = Field(default="sks", description="A rare word; empty: the class word alone names the subject.")
    prior_pictures: NonNegativeInt = Field(default=1000, description="Drawn by the base for 'a photo of a <class>'.")
    prior_sampling: SamplingRecipe = SamplingRecipe()
    tuning: ExpertRecipe = ExpertRecipe(
        optimizer="adamw", steps=1000, learning_rate=1e-5, batch_pictures=2, text_dropout=0.0
    )

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ExpertDrawer:
        """An expert of the base for this subject.

        Raises:
            InvalidArgument: a text does not name the class.
            ExpertDiverged: a loss was not a number.
        """
        texts = with_identifier(subject.texts, subject.kind, self.identifier)
        pictures_PCHW = subject.pictures_KCHW
        if self.prior_pictures:
            pictures_PCHW, texts = self._with_prior(start.base, subject, texts, seed)
        expert = tune_expert(start.base, pictures_PCHW, texts, recipe=self.tuning, seed=seed, callback=callback)
        return ExpertDrawer(expert, subject.kind, self.identifier)

    def _with_prior(
        self, base: Base, subject: GivenSubject, texts: Sequence[str], seed: int
    ) -> tuple[Tensor, list[str]]:
        """The subject's pictures, repeated until there are as many as prior ones, and those: half of each in a step."""
        prompt = f"a photo of a {subject.kind}"
        orders = [Order(prompt, derive_seed(seed, "dreambooth-prior", one)) for one in range(self.prior_pictures)]
        untuned = Expert(base=base, unet=base.unet, text=base.text, losses=())
        prior_RCHW = torch.stack(list(draw_candidates(untuned, orders, recipe=self.prior_sampling)))
        repeats = max(1, round(self.prior_pictures / len(texts)))
        pictures_PCHW = torch.cat([subject.pictures_KCHW.repeat(repeats, 1, 1, 1), prior_RCHW])
        return pictures_PCHW, [*list(texts) * repeats, *[prompt] * self.prior_pictures]


class Lora(BaseModel):
    """DreamBooth as adapters of the attentions (Hu et al. 2021, with the values of diffusers' guide to it): rank 4,
    500 steps at 1e-4, no prior pictures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["lora"] = "lora"
    identifier: str = Field(default="sks", description="A rare word; empty: the class word alone names the subject.")
    tuning: ExpertRecipe = ExpertRecipe(
        method="lora", optimizer="adamw", steps=500, learning_rate=1e-4, batch_pictures=1, text_dropout=0.0, lora_rank=4
    )

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ExpertDrawer:
        """An adapter of the base for this subject.

        Raises:
            InvalidArgument: a text does not name the class.
            ExpertDiverged: a loss was not a number.
        """
        texts = with_identifier(subject.texts, subject.kind, self.identifier)
        expert = tune_expert(start.base, subject.pictures_KCHW, texts, recipe=self.tuning, seed=seed, callback=callback)
        return ExpertDrawer(expert, subject.kind, self.identifier)
