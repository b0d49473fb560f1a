"""Experts that draw in one batch draw what each would draw alone."""

import copy
from collections.abc import Mapping
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.drawing_together import draw_together
from suti.ml.experts.lora import new_adapter, with_lora
from suti.ml.experts.recipe import ExpertRecipe, LoraPart
from suti.ml.experts.tuning import Expert, ExpertDiverged
from tests.unit.ml.experts.tiny_base import tiny_base

EVERYWHERE: tuple[LoraPart, ...] = ("attention", "feedforward", "convs", "time")
RECIPE = ExpertRecipe(
    method="lora",
    lora_rank=2,
    lora_targets=EVERYWHERE,
    sampling=SamplingRecipe(sampler="ddpm", steps=3, guidance=4.0, batch_pictures=2),
)
ORDERS = [  # one batch and a half, a half, two
    [Order("a red mug", 1), Order("a blue dog", 2), Order("a red mug", 3)],
    [Order("a green hat", 4)],
    [Order("a red mug", seed) for seed in range(5, 9)],
]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def adapters(base: Base) -> list[dict[str, Tensor]]:
    """Three that change what is drawn."""
    found: list[dict[str, Tensor]] = []
    for seed in range(3):
        adapter = new_adapter(base.unet, rank=2, targets=EVERYWHERE, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        found.append({name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in adapter.items()})
    return found


def alone(base: Base, adapter: Mapping[str, Tensor], orders: list[Order], recipe: SamplingRecipe) -> list[Tensor]:
    """The same adapter in PEFT's layers."""
    unet = with_lora(base.unet, rank=2, seed=0, targets=EVERYWHERE)
    for name, weight in unet.named_parameters():
        if ".lora_" in name:
            weight.data.copy_(adapter[name.replace(".default.", ".")])
    return list(draw_candidates(Expert(base, unet, base.text, losses=()), orders, recipe=recipe))


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("sampler", ["ddpm", "dpmsolver++"])
def test_each_expert_draws_what_it_would_draw_alone(sampler: str, guidance: float, base: Base) -> None:
    sampling = SamplingRecipe.model_validate(
        RECIPE.sampling.model_dump() | {"guidance": guidance, "sampler": sampler, "dynamic_threshold": 0.95}
    )

    drawn = draw_together(base, adapters(base), ORDERS, recipe=RECIPE.model_copy(update={"sampling": sampling}))

    for pictures, adapter, orders in zip(drawn, adapters(base), ORDERS, strict=True):
        assert not isinstance(pictures, ExpertDiverged)
        torch.testing.assert_close(pictures, alone(base, adapter, orders, sampling), rtol=1e-3, atol=1e-3)
    plain = list(draw_candidates(Expert(base, base.unet, base.text, ()), ORDERS[0], recipe=sampling))
    assert not torch.allclose(torch.stack(plain), torch.stack(cast("list[Tensor]", drawn[0])), atol=1e-2)


def test_one_whose_pictures_are_no_numbers_is_found_out_alone(base: Base) -> None:
    healthy = draw_together(base, adapters(base), ORDERS, recipe=RECIPE)
    sick = adapters(base)
    nn.init.constant_(sick[0]["conv_out.lora_B.weight"], torch.nan)

    drawn = draw_together(base, sick, ORDERS, recipe=RECIPE)

    assert isinstance(drawn[0], ExpertDiverged)
    for pictures, expected in zip(drawn[1:], healthy[1:], strict=True):
        torch.testing.assert_close(pictures, expected, rtol=1e-4, atol=1e-4)


def test_the_same_group_draws_the_same_bits_and_leaves_the_base_alone(base: Base) -> None:
    before: dict[str, Any] = copy.deepcopy(base.unet.state_dict())

    first, second = (draw_together(base, adapters(base), ORDERS, recipe=RECIPE) for _ in range(2))

    for one, two in zip(first, second, strict=True):
        assert all(map(torch.equal, cast("list[Tensor]", one), cast("list[Tensor]", two)))
    assert all(map(torch.equal, before.values(), base.unet.state_dict().values()))
    assert list(before) == list(base.unet.state_dict())


def test_nothing_asked_nothing_drawn(base: Base) -> None:
    assert draw_together(base, adapters(base), [[], [], []], recipe=RECIPE) == [[], [], []]
