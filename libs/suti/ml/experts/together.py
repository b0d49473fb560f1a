"""Many experts tuned in one batch over one frozen base; what comes of each is what it would be alone.

Legend: N experts, T factors of one, P pictures of a cluster, M pictures of a step (N x the recipe's batch),
C channels, H height, W width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.diffusion.base import Base, predict
from suti.ml.diffusion.precision import tuning_precision
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.experts.choices import Dice, encode_pictures
from suti.ml.experts.lora import new_adapter
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.stack import Stack
from suti.ml.experts.stacked_optimizers import clip_rows, new_stacked_optimizer
from suti.ml.experts.tuning import ExpertDiverged, diverged, require_texts

# Called after each step with (steps done, steps in all, experts still tuned); what it raises ends the tuning.
TogetherCallback = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Lesson:
    """What one expert learns from. Shapes: (P, 3, H, W) in [-1, 1] with P texts."""

    pictures_PCHW: Tensor
    texts: Sequence[str]
    seed: int
    steps: int | None = None  # unset: the recipe's


@dataclass(frozen=True)
class TunedAdapter:
    """What came of one expert: factors by PEFT's names, on the CPU, and the loss of each step."""

    factors: Mapping[str, Tensor]
    losses: tuple[float, ...]


def tune_together(
    base: Base,
    lessons: Sequence[Lesson],
    *,
    recipe: ExpertRecipe,
    dtype: str = "float32",
    callback: TogetherCallback | None = None,
) -> list[TunedAdapter | ExpertDiverged]:
    """An adapter for each lesson, or how its tuning ended; each as `tune_expert` would have it, but for rounding.

    An expert that is done, or whose loss is not a number, leaves the batch; the others do not notice.

    Raises:
        InvalidArgument: a lesson has no pictures, or not one text for each; no layers to adapt.
    """
    if not lessons:
        return []
    for lesson in lessons:
        require_texts(lesson.pictures_PCHW, lesson.texts)
    adapters = [
        new_adapter(base.unet, rank=recipe.lora_rank, targets=recipe.lora_targets, seed=lesson.seed)
        for lesson in lessons
    ]
    stack = Stack(base.unet, adapters, targets=recipe.lora_targets)
    stack.learn(learning=True)
    optimizer = new_stacked_optimizer(recipe.optimizer, stack.blocks, learning_rate=recipe.learning_rate)
    batches = _Batches(base, lessons, recipe)
    wanted = [lesson.steps or recipe.steps for lesson in lessons]
    losses: list[list[float]] = [[] for _ in lessons]
    ended: dict[int, TunedAdapter | ExpertDiverged] = {}
    inside = list(range(len(lessons)))  # whose row is whose
    for step in range(1, max(wanted) + 1):
        noisy_MCHW, t_M, embedding, target_MCHW = batches.next(inside)
        with tuning_precision(dtype, base.device):
            answer_MCHW = predict(stack.unet, noisy_MCHW, t_M, embedding)
        loss_N = denoising_loss(answer_MCHW, target_MCHW).view(len(inside), -1).mean(dim=1)
        gradients_NT = clip_rows(stack.gradients(loss_N.sum()), 1.0)
        optimizer.step(stack.values_NT, gradients_NT)
        sound = torch.isfinite(loss_N).tolist()
        for row, (expert, loss) in enumerate(zip(inside, loss_N.tolist(), strict=True)):
            losses[expert].append(loss)
            if not sound[row]:
                ended[expert] = diverged(step, loss)
            elif step == wanted[expert]:
                ended[expert] = TunedAdapter(stack.adapter(row), tuple(losses[expert]))
        stay = [row for row, expert in enumerate(inside) if expert not in ended]
        if callback is not None:
            callback(step, max(wanted), len(inside))
        if not stay:
            break
        if len(stay) < len(inside):
            inside = [inside[row] for row in stay]
            stack.keep(stay)
            optimizer.keep(stay)
    return [ended[expert] for expert in range(len(lessons))]


class _Batches:
    """What each step is shown, expert by expert; pictures and texts of all are encoded once."""

    def __init__(self, base: Base, lessons: Sequence[Lesson], recipe: ExpertRecipe) -> None:
        self._device = base.device
        self._schedule = NoiseSchedule.from_config(base.scheduler_config)
        pools = [encode_pictures(base, lesson.pictures_PCHW, flip=recipe.flip) for lesson in lessons]
        self._pool = torch.cat(pools)
        self._first_picture = _starts([len(pool) for pool in pools])
        texts = sorted({text for lesson in lessons for text in lesson.texts})
        self._encoded = base.text.encode([*texts, ""])
        row_of = {text: row for row, text in enumerate(texts)}
        self._text_rows = [torch.tensor([*(row_of[text] for text in one.texts), len(texts)]) for one in lessons]
        self._dice = [
            Dice(
                seed=lesson.seed,
                pictures=len(lesson.texts),
                recipe=recipe,
                noise_levels=self._schedule.steps,
                shape_CHW=self._pool.shape[1:],
            )
            for lesson in lessons
        ]

    def next(self, experts: Sequence[int]) -> tuple[Tensor, Tensor, TextEmbedding, Tensor]:
        """Noisy pictures, noise levels, texts and what the network should answer; M rows each."""
        thrown = [self._dice[expert].throw() for expert in experts]
        pairs = list(zip(experts, thrown, strict=True))
        picture_M = torch.cat([self._first_picture[expert] + one.picture_N for expert, one in pairs])
        text_M = torch.cat([self._text_rows[expert][one.text_N] for expert, one in pairs])
        t_M = torch.cat([one.t_N for one in thrown]).to(self._device)
        noise_MCHW = torch.cat([one.noise_NCHW for one in thrown]).to(self._device)
        x0_MCHW = self._pool[picture_M]
        noisy_MCHW = self._schedule.add_noise(x0_MCHW, noise_MCHW, t_M).contiguous(memory_format=torch.channels_last)
        return noisy_MCHW, t_M, self._encoded.select(text_M), self._schedule.target(x0_MCHW, noise_MCHW, t_M)


def _starts(lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[:index]) for index in range(len(lengths))]
