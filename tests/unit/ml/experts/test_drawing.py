"""A candidate's pixels come from its expert, prompt and seed, whatever is drawn beside it."""

import pytest
import torch
from torch import Tensor, nn

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.recipe import SamplerName, SamplingRecipe
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.tuning import Expert, ExpertDiverged
from tests.unit.ml.experts.tiny_base import tiny_base

RECIPE = SamplingRecipe(sampler="ddpm", steps=3, guidance=4.0, batch_pictures=3)
ORDERS = [Order("a red mug", 1), Order("a red mug", 2), Order("a blue dog", 3), Order("a green hat", 4)]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def drawn(
    base: Base, orders: list[Order], recipe: SamplingRecipe = RECIPE, unet: nn.Module | None = None
) -> list[Tensor]:
    return list(draw_candidates(Expert(base, unet or base.unet, base.text, losses=()), orders, recipe=recipe))


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmsolver++", "unipc"])
def test_a_picture_has_the_same_bits_whatever_is_drawn_beside_it(sampler: SamplerName, base: Base) -> None:
    recipe = RECIPE.model_copy(update={"sampler": sampler})

    together, backwards = drawn(base, ORDERS, recipe), drawn(base, ORDERS[::-1], recipe)

    assert all(map(torch.equal, together, backwards[::-1]))
    assert torch.equal(together[1], drawn(base, ORDERS[1:2], recipe)[0])
    assert not torch.equal(together[0], together[1])  # two seeds, two pictures


def test_pictures_lie_in_range_and_keep_their_order(base: Base) -> None:
    pictures = drawn(base, ORDERS)

    assert [picture.shape for picture in pictures] == [(3, 16, 16)] * 4
    assert all(float(picture.abs().max()) <= 1 for picture in pictures)


def test_guidance_of_one_is_the_conditional_answer_alone(base: Base) -> None:
    plain, nearly = (drawn(base, ORDERS, RECIPE.model_copy(update={"guidance": w})) for w in (1.0, 1.0 + 1e-6))

    torch.testing.assert_close(torch.stack(plain), torch.stack(nearly), rtol=0, atol=1e-3)


def test_nothing_asked_nothing_drawn(base: Base) -> None:
    assert drawn(base, []) == []


def test_an_expert_that_answers_no_numbers_is_found_out(base: Base) -> None:
    broken = tiny_base().unet
    nn.init.constant_(broken.conv_out.weight, torch.nan)

    with pytest.raises(ExpertDiverged, match="not made of numbers"):
        drawn(base, ORDERS, unet=broken)
