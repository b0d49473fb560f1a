"""A frozen layer with the adapters of many experts at once, by batched matrix products.

Rows come expert by expert, as many for each. Legend: N experts, R rank, I inputs, O outputs, B pictures of an expert,
M = N x B pictures, L rows of an expert (pictures x tokens); h, w a convolution's window.
"""

import torch
from torch import Tensor, nn


class StackedLinear(nn.Module):
    """x W + (x A_n) B_n for the rows of expert n. A is (N, R, I), B is (N, O, R)."""

    def __init__(self, frozen: nn.Linear) -> None:
        super().__init__()
        self.frozen = frozen
        self.A = torch.empty(0)
        self.B = torch.empty(0)

    def forward(self, rows: Tensor) -> Tensor:
        """Shapes: (M, ..., I) -> (M, ..., O)."""
        answer = self.frozen(rows)
        experts = len(self.A)
        inner_NLR = torch.bmm(rows.reshape(experts, -1, rows.shape[-1]), self.A.transpose(1, 2))
        answer_NLO = answer.reshape(experts, -1, answer.shape[-1])
        return torch.baddbmm(answer_NLO, inner_NLR, self.B.transpose(1, 2)).view(answer.shape)


class StackedConv2d(nn.Module):
    """The same for a convolution. A is (N, R, I, h, w), B is (N, O, R, 1, 1)."""

    def __init__(self, frozen: nn.Conv2d) -> None:
        super().__init__()
        self.frozen = frozen
        self.A = torch.empty(0)
        self.B = torch.empty(0)

    def forward(self, pictures_MIHW: Tensor) -> Tensor:
        """Shapes: (M, I, H, W) -> (M, O, H', W')."""
        answer_MOHW = self.frozen(pictures_MIHW)
        experts, rank = self.A.shape[:2]
        beside_BCHW = pictures_MIHW.unflatten(0, (experts, -1)).transpose(0, 1).flatten(1, 2)  # C: experts x inputs
        inner_BCHW = nn.functional.conv2d(
            beside_BCHW,
            self.A.flatten(0, 1),
            stride=self.frozen.stride,
            padding=self.frozen.padding,  # pyright: ignore[reportArgumentType] - torch types it loosely
            dilation=self.frozen.dilation,
            groups=experts,
        )
        inner_NLR = inner_BCHW.unflatten(1, (experts, rank)).permute(1, 0, 3, 4, 2).reshape(experts, -1, rank)
        _, channels, height, width = answer_MOHW.shape
        answer_NLO = answer_MOHW.permute(0, 2, 3, 1).reshape(experts, -1, channels)
        sum_NLO = torch.baddbmm(answer_NLO, inner_NLR, self.B.flatten(2).transpose(1, 2))
        return sum_NLO.view(-1, height, width, channels).permute(0, 3, 1, 2)
