"""A stacked layer gives each expert's rows what that expert's own layer would; the reference is one layer at a time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from suti.ml.experts.frozen_layers import FrozenProduct, drops_out, lay_out
from suti.ml.experts.stacked_layers import convolve_at_once, convolve_in_turn
from tests.unit.ml.experts.tiny_base import tiny_base


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("convolve", [convolve_in_turn, convolve_at_once])
@pytest.mark.parametrize("how", [{"padding": 1}, {"padding": 1, "stride": 2}, {"padding": 2, "dilation": 2}])
def test_each_experts_pictures_meet_their_own_kernels(convolve: Callable[..., Tensor], how: dict[str, Any]) -> None:
    pictures_MIHW = random(6, 5, 8, 8).contiguous(memory_format=torch.channels_last)
    kernels_NRIhw = random(3, 4, 5, 3, 3, seed=2)

    together = convolve(pictures_MIHW, kernels_NRIhw, **how)

    alone = [nn.functional.conv2d(pictures_MIHW[2 * n : 2 * n + 2], kernels_NRIhw[n], **how) for n in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (4, 6, 5), (4, 1, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_frozen_linear_layer_is_that_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer = nn.Linear(5, 7, bias=bias).requires_grad_(False)
    rows = random(*shape).requires_grad_(True)

    (gradient,) = torch.autograd.grad(FrozenProduct(layer)(rows).square().sum(), rows)

    torch.testing.assert_close(FrozenProduct(layer)(rows), layer(rows), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, torch.autograd.grad(layer(rows).square().sum(), rows)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_a_frozen_convolution_one_pixel_wide_is_that_convolution(memory: torch.memory_format) -> None:
    layer = nn.Conv2d(5, 7, 1).requires_grad_(False)
    pictures = random(3, 5, 6, 4).contiguous(memory_format=memory)

    answer = FrozenProduct(layer)(pictures)

    torch.testing.assert_close(answer, layer(pictures), rtol=1e-5, atol=1e-6)
    assert answer.is_contiguous(memory_format=torch.channels_last)


def test_a_unet_that_is_laid_out_answers_as_before() -> None:
    base, plain = tiny_base(), tiny_base()
    noise, text = random(2, *base.shape_CHW), base.text.encode(["a red mug", "a dog"])

    lay_out(base.unet)

    assert any(isinstance(module, FrozenProduct) for module in base.unet.modules())
    torch.testing.assert_close(base.predict(noise, 500, text), plain.predict(noise, 500, text), rtol=1e-4, atol=1e-5)
    assert not drops_out(base.unet)
