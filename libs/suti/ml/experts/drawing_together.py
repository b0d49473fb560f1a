"""Candidates of many experts, drawn in one batch; each is what its expert would draw alone.

Legend: N experts, B pictures of one expert's batch, C channels, H height, W width.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.sampling import StepCallback
from suti.ml.experts.drawing import Order, Texts, draw_rows, filled, require_numbers
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.stack import Stack
from suti.ml.experts.tuning import ExpertDiverged


def draw_together(
    base: Base,
    adapters: Sequence[Mapping[str, Tensor]],
    orders: Sequence[Sequence[Order]],
    *,
    recipe: ExpertRecipe,
    dtype: str = "float32",
    callback: StepCallback | None = None,
) -> list[list[Tensor] | ExpertDiverged]:
    """For each adapter the pictures of its orders, in order, or why it has none; as `draw_candidates` draws them.

    A batch holds `recipe.sampling.batch_pictures` rows of each expert that has orders left.

    Shapes: N adapters with their orders -> for each order (3, H, W), float32 in [-1, 1], on the CPU.
    """
    texts = Texts(base.text, [order.prompt for asked in orders for order in asked])
    each = recipe.sampling.batch_pictures
    drawn: list[list[Tensor]] = [[] for _ in adapters]
    diverged: dict[int, ExpertDiverged] = {}
    inside = [expert for expert, asked in enumerate(orders) if asked]
    stack: Stack | None = None
    start = 0
    while inside:
        if stack is None or len(stack) != len(inside):
            stack = Stack(base.unet, [adapters[expert] for expert in inside], targets=recipe.lora_targets)
            stack.learn(learning=False)
        asked = [orders[expert][start : start + each] for expert in inside]
        pictures_BCHW = draw_rows(
            base,
            stack.unet,
            [order for some in asked for order in filled(some, each)],
            texts,
            recipe=recipe.sampling,
            dtype=dtype,
            experts=len(inside),
            callback=callback,
        )
        for expert, some, rows_BCHW in zip(inside, asked, pictures_BCHW.split(each), strict=True):
            try:
                require_numbers(rows_BCHW[: len(some)])
            except ExpertDiverged as error:
                diverged[expert] = error
            else:
                drawn[expert] += torch.unbind(rows_BCHW[: len(some)].cpu())
        start += each
        inside = [expert for expert in inside if start < len(orders[expert]) and expert not in diverged]
    return [diverged.get(expert, pictures) for expert, pictures in enumerate(drawn)]
