"""Rivals whose UNet is tuned on the subject: DreamBooth with every weight, and with LoRA.

Legend: N pictures, R prior pictures, C channels, H height, W width.
"""

from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from suti.core.seeds import derive_seed
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert, Prior, tune_expert
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.naming import NamingDrawer
from suti.ml.rivals.subject import GivenSubject, with_identifier
from suti.ml.subject.files import SubjectModel


class DreamBooth(BaseModel):
    """DreamBooth (Ruiz et al. 2022, sections 3 and 4): every weight of the UNet, an identifier before the class word,
    and in every step as many of the base's own pictures of the class as of the subject (prior preservation).

    1,000 steps at 1e-5 with Adam are the paper's for Imagen. SuTI's own experts leave out identifier and prior pictures
    (SuTI, section 5, "Expert Models").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["dreambooth"] = "dreambooth"
    identifier: str = Field(default="sks", description="A rare word; empty: the class word alone names the subject.")
    prior_pictures: NonNegativeInt = Field(default=1000, description="Drawn by the base for 'a photo of a <class>'.")
    prior_sampling: SamplingRecipe = SamplingRecipe()
    prior_weight: NonNegativeFloat = Field(default=1.0, description="Of the prior's loss beside the subject's.")
    tuning: ExpertRecipe = ExpertRecipe(
        optimizer="adamw", steps=1000, learning_rate=1e-5, batch_pictures=1, text_dropout=0.0
    )

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> NamingDrawer:
        """An expert of the base for this subject.

        Raises:
            InvalidArgument: a text does not name the class.
            ExpertDiverged: a loss was not a number.
        """
        texts = with_identifier(subject.texts, subject.kind, self.identifier)
        prior = self._prior(start.base, subject.kind, seed) if self.prior_pictures else None
        expert = tune_expert(
            start.base, subject.pictures_KCHW, texts, recipe=self.tuning, seed=seed, prior=prior, callback=callback
        )
        return NamingDrawer(expert, partial(with_identifier, kind=subject.kind, identifier=self.identifier))

    def _prior(self, base: Base, kind: str, seed: int) -> Prior:
        """What the base draws for the class alone."""
        prompt = f"a photo of a {kind}"
        orders = [Order(prompt, derive_seed(seed, "dreambooth-prior", one)) for one in range(self.prior_pictures)]
        untuned = Expert(base=base, unet=base.unet, text=base.text, losses=())
        prior_RCHW = torch.stack(list(draw_candidates(untuned, orders, recipe=self.prior_sampling)))
        return Prior(pictures_RCHW=prior_RCHW, text=prompt, weight=self.prior_weight)


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
    ) -> NamingDrawer:
        """An adapter of the base for this subject.

        Raises:
            InvalidArgument: a text does not name the class.
            ExpertDiverged: a loss was not a number.
        """
        texts = with_identifier(subject.texts, subject.kind, self.identifier)
        expert = tune_expert(start.base, subject.pictures_KCHW, texts, recipe=self.tuning, seed=seed, callback=callback)
        return NamingDrawer(expert, partial(with_identifier, kind=subject.kind, identifier=self.identifier))
