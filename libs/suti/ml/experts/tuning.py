"""Tuning one expert: DreamBooth without class word and prior pictures (SuTI, section 5, "Expert Models"), or with them.

Legend: P pictures of the cluster, R prior pictures, N pictures of a batch, C channels, H height, W width.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from suti.core.errors import InvalidArgument, PermanentError
from suti.core.seeds import derive_seed
from suti.ml.diffusion.base import Base, predict
from suti.ml.diffusion.precision import tuning_precision
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEmbedding, TextEncoder
from suti.ml.experts.choices import Dice, encode_pictures
from suti.ml.experts.lora import with_lora
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.optimizers import new_optimizer

# Called after each step with (steps done, steps in all, that step's loss); what it raises ends the tuning.
TuningCallback = Callable[[int, int, float], None]


class ExpertDiverged(PermanentError):
    """An expert's loss, or what it drew, is not a number. The same seed would end there again."""

    reason = "EXPERT_DIVERGED"


@dataclass(frozen=True)
class Expert:
    """A model tuned on one cluster. With LoRA the UNet shares the base's weights, so it is as small as its adapter."""

    base: Base
    unet: nn.Module
    text: TextEncoder  # the base's own unless it was tuned as well
    losses: tuple[float, ...]  # of each step


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What shall stay as the base draws it: pictures of the class, all of one text (Ruiz et al. 2022, section 3.3)."""

    pictures_RCHW: Tensor  # in [-1, 1]
    text: str
    weight: float = 1.0  # of their loss beside the subject's


def tune_expert(
    base: Base,
    pictures_PCHW: Tensor,
    texts: Sequence[str],
    *,
    recipe: ExpertRecipe,
    seed: int,
    dtype: str = "float32",
    prior: Prior | None = None,
    callback: TuningCallback | None = None,
) -> Expert:
    """An expert for these pictures; the base stays as it is, and the same seed gives the same expert.

    Shapes: (P, 3, H, W) in [-1, 1] with P texts. With a prior every step sees as many of its pictures as of the
    subject's, and its loss is the subject's plus `prior.weight` times theirs.

    Raises:
        InvalidArgument: no pictures, or not one text for each.
        ExpertDiverged: a loss was not a number.
    """
    require_texts(pictures_PCHW, texts)
    unet, text = _copies(base, recipe, seed)
    weights = [weight for module in (unet, text) for weight in module.parameters() if weight.requires_grad]
    optimizer = new_optimizer(recipe.optimizer, weights, learning_rate=recipe.learning_rate)
    batches = _Batches(base, pictures_PCHW, texts, recipe=recipe, seed=seed, text=text)
    shown: list[tuple[float, _Batches]] = [(1.0, batches)]
    if prior is not None:
        shown.append((prior.weight, _prior_batches(base, prior, recipe=recipe, seed=seed, text=text)))
    losses: list[float] = []
    unet.train()
    for step in range(1, recipe.steps + 1):
        loss = torch.zeros((), device=base.device)
        for weight, some in shown:
            noisy_NCHW, t_N, embedding, target_NCHW = some.next()
            with tuning_precision(dtype, base.device):
                answer_NCHW = predict(unet, noisy_NCHW, t_N, embedding)
            loss = loss + weight * denoising_loss(answer_NCHW, target_NCHW).mean()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise diverged(step, losses[-1])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if callback is not None:
            callback(step, recipe.steps, losses[-1])
    for module in (unet, text):
        module.eval().requires_grad_(False)
    return Expert(base=base, unet=unet, text=text, losses=tuple(losses))


def require_texts(pictures_PCHW: Tensor, texts: Sequence[str]) -> None:
    """Raises InvalidArgument where there are no pictures, or not one text for each."""
    if len(pictures_PCHW) == 0 or len(pictures_PCHW) != len(texts):
        raise InvalidArgument("texts", f"{len(texts)} for {len(pictures_PCHW)} pictures: give each picture its text")


def diverged(step: int, loss: float) -> ExpertDiverged:
    """How a tuning ends whose loss is not a number."""
    return ExpertDiverged(f"the loss of step {step} is {loss}: lower experts.learning_rate")


def _copies(base: Base, recipe: ExpertRecipe, seed: int) -> tuple[nn.Module, TextEncoder]:
    """The modules to tune, with gradients where there is something to learn."""
    if recipe.method == "lora":
        return with_lora(base.unet, rank=recipe.lora_rank, seed=seed, targets=recipe.lora_targets), base.text
    unet = nn.Module.to(copy.deepcopy(base.unet), memory_format=torch.channels_last).requires_grad_(True)
    text = copy.deepcopy(base.text).requires_grad_(True).train() if recipe.train_text_encoder else base.text
    return unet, text


def _prior_batches(base: Base, prior: Prior, *, recipe: ExpertRecipe, seed: int, text: TextEncoder) -> "_Batches":
    """Chances of their own: the subject's are the same with and without a prior."""
    own = derive_seed(seed, "prior")
    return _Batches(base, prior.pictures_RCHW, [prior.text], recipe=recipe, seed=own, text=text)


class _Batches:
    """What each step is shown: a text for each picture, or one for all. Pictures and texts are encoded once."""

    def __init__(
        self,
        base: Base,
        pictures_PCHW: Tensor,
        texts: Sequence[str],
        *,
        recipe: ExpertRecipe,
        seed: int,
        text: TextEncoder,
    ) -> None:
        self._device = base.device
        self._schedule = NoiseSchedule.from_config(base.scheduler_config)
        self._texts = [*texts, ""]
        self._pool = encode_pictures(base, pictures_PCHW, flip=recipe.flip)
        self._tuned_text = text if recipe.train_text_encoder else None
        self._encoded = base.text.encode(self._texts)
        self._dice = Dice(
            seed=seed,
            pictures=len(pictures_PCHW),
            recipe=recipe,
            noise_levels=self._schedule.steps,
            shape_CHW=self._pool.shape[1:],
        )
        last = len(texts)  # the empty text's place
        self._text_of = torch.tensor([min(index, last - 1) for index in range(len(pictures_PCHW))] + [last])

    def next(self) -> tuple[Tensor, Tensor, TextEmbedding, Tensor]:
        """Noisy pictures, noise levels, texts and what the network should answer; N rows each."""
        thrown = self._dice.throw()
        t_N, noise_NCHW = thrown.t_N.to(self._device), thrown.noise_NCHW.to(self._device)
        x0_NCHW = self._pool[thrown.picture_N]
        noisy_NCHW = self._schedule.add_noise(x0_NCHW, noise_NCHW, t_N).contiguous(memory_format=torch.channels_last)
        return (
            noisy_NCHW,
            t_N,
            self._embed(self._text_of[thrown.text_N]),
            self._schedule.target(x0_NCHW, noise_NCHW, t_N),
        )

    def _embed(self, text_N: Tensor) -> TextEmbedding:
        if self._tuned_text is None:
            return self._encoded.select(text_N)
        return cast("TextEmbedding", self._tuned_text([self._texts[index] for index in text_N.tolist()]))
