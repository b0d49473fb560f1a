"""What an expert draws for target prompts: the candidates.

Legend: N candidates, B the fixed batch, C channels, H height, W width.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.diffusion.base import predict
from suti.ml.diffusion.guidance import guide
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.precision import precision
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import StepCallback, draw
from suti.ml.diffusion.text import TextEmbedding
from suti.ml.experts.tuning import Expert, ExpertDiverged


@dataclass(frozen=True)
class Order:
    """One picture to be drawn."""

    prompt: str
    seed: int


def draw_candidates(
    expert: Expert,
    orders: Sequence[Order],
    *,
    recipe: SamplingRecipe,
    dtype: str = "float32",
    callback: StepCallback | None = None,
) -> Iterator[Tensor]:
    """The picture of each order, in order.

    Every batch has `recipe.batch_pictures` rows (the last is filled up with its own last row, and the copies thrown
    away), and every row its own noise: a picture has the same bits whatever is drawn beside it.

    Shapes: N orders -> N of (3, H, W), float32 in [-1, 1].

    Raises:
        ExpertDiverged: a picture is not made of numbers.
    """
    base = expert.base
    prompts = sorted({order.prompt for order in orders})
    encoded = expert.text.encode([*prompts, ""])
    row_of = {prompt: row for row, prompt in enumerate(prompts)}
    for start in range(0, len(orders), recipe.batch_pictures):
        asked = list(orders[start : start + recipe.batch_pictures])
        batch = asked + asked[-1:] * (recipe.batch_pictures - len(asked))
        drawn_BCHW = draw(
            _denoiser(
                expert, encoded, [row_of[order.prompt] for order in batch], guidance=recipe.guidance, dtype=dtype
            ),
            seeds=[order.seed for order in batch],
            shape_CHW=base.shape_CHW,
            scheduler_config=base.scheduler_config,
            sampler=recipe.sampler,
            steps=recipe.steps,
            pixel_space=base.vae is None,
            dynamic_threshold=recipe.dynamic_threshold,
            device=base.device,
            callback=callback,
        )
        pictures_NCHW = to_pictures(base, drawn_BCHW[: len(asked)])
        if not bool(torch.isfinite(pictures_NCHW).all()):
            raise ExpertDiverged("a picture is not made of numbers: lower experts.learning_rate or the guidance")
        yield from pictures_NCHW.cpu()


def _denoiser(
    expert: Expert, encoded: TextEmbedding, rows: Sequence[int], *, guidance: float, dtype: str
) -> Callable[[Tensor, int], Tensor]:
    """The expert with classifier-free guidance; both branches in one batch, the empty text first."""
    guided = guidance != 1.0
    free = [len(encoded.hidden_NLD) - 1] * len(rows) if guided else []
    text = encoded.select([*free, *rows])

    def denoise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        both_NCHW = noisy_NCHW.repeat(2, 1, 1, 1) if guided else noisy_NCHW
        with precision(dtype, expert.base.device):
            answer_NCHW = predict(
                expert.unet, both_NCHW.contiguous(memory_format=torch.channels_last), timestep, text
            ).float()
        if not guided:
            return answer_NCHW
        free_NCHW, full_NCHW = answer_NCHW.chunk(2)
        return guide(free_NCHW, full_NCHW, guidance)

    return denoise
