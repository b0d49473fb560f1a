"""Textual Inversion: a word is found for the subject, and nothing else is changed.

Legend: N pictures of a step, C channels, H height, W width.
"""

import math
from functools import partial
from typing import Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from suti.ml.diffusion.base import predict
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.experts.choices import Dice, encode_pictures
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert, ExpertDiverged
from suti.ml.optimizers import new_optimizer
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.naming import NamingDrawer
from suti.ml.rivals.new_words import new_embeddings, with_new_words
from suti.ml.rivals.subject import GivenSubject, with_placeholder
from suti.ml.subject.files import SubjectModel


class TextualInversion(BaseModel):
    """Textual Inversion (Gal et al. 2022, section 3 and appendix "Implementation"): one embedding, begun as the class
    word's, 5,000 steps of 8 pictures (4 on each of 2 devices) with AdamW at 0.04, which is 0.005 for each of them.

    The texts are the demonstrations' own with the new word in place of the class word, where the paper has neutral
    sentences: they say what is not the subject.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rival: Literal["textual-inversion"] = "textual-inversion"
    vectors: PositiveInt = Field(default=1, description="Words that stand for the subject, side by side.")
    steps: PositiveInt = 5000
    learning_rate: PositiveFloat = 0.04
    batch_pictures: PositiveInt = 8

    @property
    def words(self) -> list[str]:
        """The new words."""
        return [f"<subject-{one}>" for one in range(self.vectors)]

    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> NamingDrawer:
        """Words for this subject.

        Raises:
            InvalidArgument: a text does not name the class.
            ExpertDiverged: a loss was not a number.
        """
        base, placeholder = start.base, " ".join(self.words)
        name = partial(with_placeholder, kind=subject.kind, placeholder=placeholder)
        texts = name(subject.texts)
        text = with_new_words(base.text, self.words, like=subject.kind)
        schedule = NoiseSchedule.from_config(base.scheduler_config)
        pool = encode_pictures(base, subject.pictures_KCHW, flip=False)
        dice = Dice(
            seed=seed,
            pictures=len(texts),
            recipe=ExpertRecipe(batch_pictures=self.batch_pictures, text_dropout=0.0),
            noise_levels=schedule.steps,
            shape_CHW=pool.shape[1:],
        )
        learnt = new_embeddings(text)
        optimizer = new_optimizer("adamw", learnt, learning_rate=self.learning_rate)
        losses: list[float] = []
        for step in range(1, self.steps + 1):
            thrown = dice.throw()
            t_N, noise_NCHW = thrown.t_N.to(base.device), thrown.noise_NCHW.to(base.device)
            x0_NCHW = pool[thrown.picture_N]
            embedding = cast("TextEmbedding", text([texts[index] for index in thrown.text_N.tolist()]))
            answer_NCHW = predict(base.unet, schedule.add_noise(x0_NCHW, noise_NCHW, t_N), t_N, embedding)
            loss = denoising_loss(answer_NCHW, schedule.target(x0_NCHW, noise_NCHW, t_N)).mean()
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise ExpertDiverged(f"the loss of step {step} is {losses[-1]}: lower the rival's learning_rate")
            for weight, gradient in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
                weight.grad = gradient  # of these alone: nothing else learns, whatever asks for gradients
            optimizer.step()
            if callback is not None:
                callback(step, self.steps, losses[-1])
        expert = Expert(base=base, unet=base.unet, text=text, losses=tuple(losses))
        return NamingDrawer(expert, name)
