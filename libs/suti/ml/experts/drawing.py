"""What an expert draws for target prompts: the candidates.

Legend: N candidates, B the fixed batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from suti.ml.diffusion.base import Base, predict
from suti.ml.diffusion.guidance import guide
from suti.ml.diffusion.latents import to_pictures
from suti.ml.diffusion.precision import precision
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import StepCallback, draw
from suti.ml.diffusion.text import TextEmbedding, TextEncoder
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
    away), and every row its own noise: on one thread (as jobs compute, unless told otherwise) a picture has the same
    bits whatever is drawn beside it. With more, a matrix library may split the batch among them, and the last bit of
    a row depends on its place.

    Shapes: N orders -> N of (3, H, W), float32 in [-1, 1].

    Raises:
        ExpertDiverged: a picture is not made of numbers.
    """
    texts = Texts(expert.text, [order.prompt for order in orders])
    for start in range(0, len(orders), recipe.batch_pictures):
        asked = orders[start : start + recipe.batch_pictures]
        batch = filled(asked, recipe.batch_pictures)
        drawn_BCHW = draw_rows(expert.base, expert.unet, batch, texts, recipe=recipe, dtype=dtype, callback=callback)
        pictures_NCHW = drawn_BCHW[: len(asked)]
        require_numbers(pictures_NCHW)
        yield from pictures_NCHW.cpu()


class Texts:
    """Prompts and the empty text, each encoded once."""

    def __init__(self, text: TextEncoder, prompts: Iterable[str]) -> None:
        known = sorted(set(prompts))
        self._encoded = text.encode([*known, ""])
        self._row_of = {prompt: row for row, prompt in enumerate(known)}
        self._empty = len(known)

    def rows(self, prompts: Sequence[str], *, experts: int, guided: bool) -> TextEmbedding:
        """What the network reads, expert by expert; guided: the empty text for all rows of an expert, then its own."""
        each = len(prompts) // experts
        free = [self._empty] * each if guided else []
        index: list[int] = []
        for start in range(0, len(prompts), each):
            index += [*free, *(self._row_of[prompt] for prompt in prompts[start : start + each])]
        return self._encoded.select(index)


def draw_rows(
    base: Base,
    unet: nn.Module,
    orders: Sequence[Order],
    texts: Texts,
    *,
    recipe: SamplingRecipe,
    dtype: str,
    experts: int = 1,
    callback: StepCallback | None = None,
) -> Tensor:
    """One batch, on the base's device; with several experts their rows come one expert after the other.

    Shapes: B orders -> (B, 3, H, W), float32 in [-1, 1]; B is a multiple of the experts.
    """
    guided = recipe.guidance != 1.0
    text = texts.rows([order.prompt for order in orders], experts=experts, guided=guided)

    def denoise(noisy_BCHW: Tensor, timestep: int, /) -> Tensor:
        """Both branches in one batch, the empty text first."""
        rows_BCHW = noisy_BCHW.unflatten(0, (experts, -1)).repeat(1, 2 if guided else 1, 1, 1, 1).flatten(0, 1)
        with precision(dtype, base.device):
            answer_BCHW = predict(unet, rows_BCHW.contiguous(memory_format=torch.channels_last), timestep, text).float()
        if not guided:
            return answer_BCHW
        free_NBCHW, full_NBCHW = answer_BCHW.unflatten(0, (experts, -1)).chunk(2, dim=1)
        return guide(free_NBCHW, full_NBCHW, recipe.guidance).flatten(0, 1)

    drawn_BCHW = draw(
        denoise,
        seeds=[order.seed for order in orders],
        shape_CHW=base.shape_CHW,
        scheduler_config=base.scheduler_config,
        sampler=recipe.sampler,
        steps=recipe.steps,
        pixel_space=base.vae is None,
        dynamic_threshold=recipe.dynamic_threshold,
        device=base.device,
        callback=callback,
    )
    return to_pictures(base, drawn_BCHW)


def filled(orders: Sequence[Order], count: int) -> list[Order]:
    """The orders, the last one repeated until there are so many."""
    return [*orders, *[orders[-1]] * (count - len(orders))]


def require_numbers(pictures_NCHW: Tensor) -> None:
    """Raises ExpertDiverged where a picture is not made of numbers."""
    if not bool(torch.isfinite(pictures_NCHW).all()):
        raise ExpertDiverged("a picture is not made of numbers: lower experts.learning_rate or the guidance")
