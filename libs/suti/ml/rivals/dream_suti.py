"""Dream-SuTI: an apprentice that is tuned on the subject as well, as DreamBooth tunes a base.

Legend: K demonstrations, C channels, H height, W width.
"""

import copy
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer
from suti.ml.diffusion.latents import to_model_space
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.optimizers import OptimizerName
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.subject import GivenSubject
from suti.ml.rivals.untuned import ContextDrawer, context_of
from suti.ml.subject.files import SubjectModel


class DreamSuti(BaseModel):
    """Dream-SuTI (SuTI, section 5.3, "Further fine-tuning SuTI"): 500 steps, each with one picture as demonstration and
    another as target, no auxiliary loss; one demonstration is enough to draw.

    The paper does not say rate, optimizer and batch: they are those of its experts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["dream-suti"] = "dream-suti"
    steps: NonNegativeInt = Field(default=500, description="0 is the apprentice itself.")
    optimizer: OptimizerName = "adafactor"
    learning_rate: PositiveFloat = 1e-5
    pairs: PositiveInt = Field(default=4, description="Demonstration and target, per step.")
    text_dropout: float = Field(default=0.1, ge=0, le=1)
    shown: PositiveInt = Field(default=1, description="Demonstrations at most, when it draws.")

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ContextDrawer:
        """A copy of the apprentice that knows this subject by heart.

        Raises:
            TrainingDiverged: a loss or its gradient is not finite.
        """
        model, losses = start, list[float]()
        if self.steps:
            model = _own_copy(start)
            trainer = Trainer(
                model.network,
                NoiseSchedule.from_config(model.base.scheduler_config),
                _examples(model, subject),
                recipe=self._training(),
                seed=seed,
            )
            losses = trainer.run(until=self.steps, callback=callback)
            model.network.eval().requires_grad_(requires_grad=False)
        return ContextDrawer(model, context_of(model, subject, shown=self.shown), tuple(losses))

    def _training(self) -> ApprenticeRecipe:
        return ApprenticeRecipe(
            optimizer=self.optimizer,
            steps=max(1, self.steps),
            learning_rate=self.learning_rate,
            batch_subjects=self.pairs,
            targets_per_subject=1,
            demonstrations=1,
            text_dropout=self.text_dropout,
            demonstration_dropout=0.0,
            ema_decay=0.0,
        )


def _own_copy(start: SubjectModel) -> SubjectModel:
    """Weights of its own; texts and latents are encoded by what the given model has."""
    shared = [start.base.text, start.base.vae]
    model = copy.deepcopy(start, memo={id(one): one for one in shared if one is not None})
    model.network.requires_grad_(requires_grad=True)
    return model


def _examples(model: SubjectModel, subject: GivenSubject) -> ExampleSet:
    """One subject whose pictures are demonstrations and targets alike; none is shown to itself unless it is alone."""
    base = model.base
    shown = tuple(Shown(one, one) for one in range(len(subject.texts)))
    return ExampleSet(
        pictures_PCHW=to_model_space(base, subject.pictures_KCHW.to(base.device)).float().to(torch.device("cpu")),
        texts=base.text.encode([*subject.texts, ""]),
        subjects=[SubjectExamples(demonstrations=shown, targets=shown)],
    )
