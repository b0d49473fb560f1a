"""An optimizer over many experts' factors does to each what the library's own does to that expert's alone."""

import pytest
import torch
from torch import Tensor, nn

from suti.ml.experts.stack import Block
from suti.ml.experts.stacked_optimizers import clip_rows, new_stacked_optimizer
from suti.ml.optimizers import OptimizerName, new_optimizer

BLOCKS = [Block(0, ("a", "b"), (3, 5)), Block(30, ("c",), (4, 2, 1, 1)), Block(38, ("d",), (2, 3, 3, 3))]
WIDTH = 38 + 54


def factors(row_T: Tensor) -> list[Tensor]:
    return [factor for block in BLOCKS for factor in block.of(row_T[None])[0].unbind(0)]


def steps(experts: int) -> list[Tensor]:
    """Gradients of very different sizes, so that a mix of experts would show. Shapes: 4 x (experts, WIDTH)."""
    generator = torch.Generator().manual_seed(3)
    sizes = 10.0 ** torch.arange(-3, experts - 3)[:, None]
    return [torch.randn(experts, WIDTH, generator=generator) * sizes for _ in range(4)]


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_each_row_goes_the_way_of_the_librarys_optimizer(name: OptimizerName) -> None:
    start_NT = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
    values_NT = start_NT.clone()
    stacked = new_stacked_optimizer(name, BLOCKS, learning_rate=1e-2)

    for gradients_NT in steps(5):
        stacked.step(values_NT, clip_rows(gradients_NT, 1.0))

    for expert in range(5):
        weights = [nn.Parameter(factor.clone()) for factor in factors(start_NT[expert])]
        single = new_optimizer(name, weights, learning_rate=1e-2)
        for gradients_NT in steps(5):
            for weight, gradient in zip(weights, factors(gradients_NT[expert]), strict=True):
                weight.grad = gradient.clone()
            nn.utils.clip_grad_norm_(weights, 1.0)
            single.step()
        torch.testing.assert_close(factors(values_NT[expert]), [weight.data for weight in weights])


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_those_who_stay_keep_their_memory(name: OptimizerName) -> None:
    whole, part = (new_stacked_optimizer(name, BLOCKS, learning_rate=1e-2) for _ in range(2))
    whole_NT = torch.ones(3, WIDTH)
    part_NT = whole_NT.clone()

    for index, gradients_NT in enumerate(steps(3)):
        if index == 2:
            part.keep([0, 2])
            part_NT = part_NT[[0, 2]]
        whole.step(whole_NT, gradients_NT)
        part.step(part_NT, gradients_NT if index < 2 else gradients_NT[[0, 2]])

    torch.testing.assert_close(part_NT, whole_NT[[0, 2]], rtol=0, atol=0)


def test_a_row_without_numbers_stays_alone() -> None:
    gradients_NT = torch.full((2, WIDTH), 0.5)
    gradients_NT[0, 3] = torch.nan

    clipped_NT = clip_rows(gradients_NT, 1.0)

    assert bool(clipped_NT[0].isnan().all())
    assert float(clipped_NT[1].norm()) == pytest.approx(1.0, rel=1e-5)
