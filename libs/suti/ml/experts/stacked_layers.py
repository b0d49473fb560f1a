"""A frozen layer with the adapters of many experts at once, by batched matrix products.

Rows come expert by expert, as many for each. Legend: N experts, R rank, I inputs, O outputs, B pictures of an expert,
M = N x B pictures, L rows of an expert (pictures x tokens or pixels), h and w a convolution's window.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """x W + (x A_n) B_n for the rows of expert n. A is (N, R, I), B is (N, O, R)."""

    def __init__(self, frozen: nn.Linear) -> None:
        super().__init__()
        self.frozen: nn.Module = frozen
        self.A = torch.empty(0)
        self.B = torch.empty(0)

    def forward(self, rows: Tensor) -> Tensor:
        """Shapes: (M, ..., I) -> (M, ..., O)."""
        answer = self.frozen(rows)
        experts = len(self.A)
        inner_NLR = torch.bmm(rows.reshape(experts, -1, rows.shape[-1]), self.A.transpose(1, 2))
        answer_NLO = answer.reshape(experts, -1, answer.shape[-1])
        return torch.baddbmm(answer_NLO, inner_NLR, self.B.transpose(1, 2)).view(answer.shape)


class StackedLinears(nn.Module):
    """Several that read the same rows: their frozen parts are one product, and so are their first factors.

    Their ranks side by side are J, their outputs P.
    """

    def __init__(self, layers: Sequence[StackedLinear]) -> None:
        super().__init__()
        self._layers = tuple(layers)
        frozen = [cast("nn.Linear", layer.frozen) for layer in layers]
        self._outputs = [layer.out_features for layer in frozen]
        self.frozen: nn.Module = _beside(frozen)

    def forward(self, rows: Tensor) -> list[Tensor]:
        """Shapes: (M, ..., I) -> (M, ..., O) of each layer."""
        answer = self.frozen(rows)
        experts = len(self._layers[0].A)
        down_NJI = torch.cat([layer.A for layer in self._layers], dim=1)
        inner_NLJ = torch.bmm(rows.reshape(experts, -1, rows.shape[-1]), down_NJI.transpose(1, 2))
        answers = answer.reshape(experts, -1, answer.shape[-1]).split(self._outputs, dim=2)
        inners = inner_NLJ.split([layer.A.shape[1] for layer in self._layers], dim=2)
        return [
            torch.baddbmm(answer_NLO, inner_NLR, layer.B.transpose(1, 2)).view(*rows.shape[:-1], -1)
            for layer, answer_NLO, inner_NLR in zip(self._layers, answers, inners, strict=True)
        ]


class StackedConv2d(nn.Module):
    """The same for a convolution. A is (N, R, I, h, w), B is (N, O, R, 1, 1)."""

    def __init__(self, frozen: nn.Conv2d) -> None:
        super().__init__()
        self.frozen: nn.Module = frozen
        self._how = {"stride": frozen.stride, "padding": frozen.padding, "dilation": frozen.dilation}
        self.A = torch.empty(0)
        self.B = torch.empty(0)

    def forward(self, pictures_MIHW: Tensor) -> Tensor:
        """Shapes: (M, I, H, W) -> (M, O, H', W')."""
        answer_MOHW = self.frozen(pictures_MIHW)
        experts, rank = self.A.shape[:2]
        project = convolve_in_turn if pictures_MIHW.device.type == "cpu" else convolve_at_once
        inner_MRHW = project(pictures_MIHW, self.A, **self._how)
        inner_NLR = inner_MRHW.permute(0, 2, 3, 1).reshape(experts, -1, rank)
        _, channels, height, width = answer_MOHW.shape
        answer_NLO = answer_MOHW.permute(0, 2, 3, 1).reshape(experts, -1, channels)
        sum_NLO = torch.baddbmm(answer_NLO, inner_NLR, self.B.flatten(2).transpose(1, 2))
        return sum_NLO.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _beside(layers: Sequence[nn.Linear]) -> nn.Linear:
    """One linear layer with the outputs of several."""
    first = layers[0]
    joined = nn.Linear(first.in_features, sum(layer.out_features for layer in layers), bias=False, device="meta")
    joined.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in layers]), requires_grad=False)
    if cast("Tensor | None", first.bias) is not None:
        joined.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]), requires_grad=False)
    return joined


def convolve_in_turn(pictures_MIHW: Tensor, kernels_NRIhw: Tensor, **how: Any) -> Tensor:
    """Each expert's pictures with its own kernels, one expert after the other: a processor has enough to do with one.

    Shapes: (M, I, H, W), (N, R, I, h, w) -> (M, R, H', W').
    """
    own = pictures_MIHW.unflatten(0, (len(kernels_NRIhw), -1)).unbind(0)
    return torch.cat(
        [nn.functional.conv2d(some, kernels, **how) for some, kernels in zip(own, kernels_NRIhw.unbind(0), strict=True)]
    )


def convolve_at_once(pictures_MIHW: Tensor, kernels_NRIhw: Tensor, **how: Any) -> Tensor:
    """The same as one convolution with a group for each expert, for accelerators."""
    experts, rank = kernels_NRIhw.shape[:2]
    beside_BCHW = pictures_MIHW.unflatten(0, (experts, -1)).transpose(0, 1).flatten(1, 2)  # C: experts x inputs
    inner_BCHW = nn.functional.conv2d(beside_BCHW, kernels_NRIhw.flatten(0, 1), groups=experts, **how)
    return inner_BCHW.unflatten(1, (experts, rank)).transpose(0, 1).flatten(0, 1)
