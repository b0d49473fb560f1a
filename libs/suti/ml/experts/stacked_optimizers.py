"""Optimizers that keep many experts apart: each row of a matrix is one expert's factors.

Each does to a row what `suti.ml.optimizers.new_optimizer` does to that expert's weights alone.
Legend: N experts, T factors of one expert, K factors of one shape.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from suti.ml.experts.stack import Block
from suti.ml.optimizers import OptimizerName

_TINY = 1e-6  # torch.nn.utils.clip_grad_norm_'s


class StackedOptimizer(Protocol):
    """Every row goes its own way."""

    def step(self, values_NT: Tensor, gradients_NT: Tensor) -> None:
        """Change the values in place."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Forget the other experts."""
        ...


def new_stacked_optimizer(name: OptimizerName, blocks: Sequence[Block], *, learning_rate: float) -> StackedOptimizer:
    """An optimizer by name, its learning rate taken literally."""
    return StackedAdamW(learning_rate) if name == "adamw" else StackedAdafactor(blocks, learning_rate)


def clip_rows(gradients_NT: Tensor, largest: float) -> Tensor:
    """Rows of at most this length, each for itself. Shapes: (N, T) -> (N, T)."""
    norm_N1 = gradients_NT.norm(dim=1, keepdim=True)
    return gradients_NT * (largest / (norm_N1 + _TINY)).clamp(max=1.0)


class StackedAdamW:
    """AdamW (Loshchilov and Hutter 2019) with torch's defaults and a weight decay of 0.01."""

    _beta1, _beta2, _eps, _decay = 0.9, 0.999, 1e-8, 0.01

    def __init__(self, learning_rate: float) -> None:
        self._rate = learning_rate
        self._steps = 0
        self._mean_NT: Tensor | None = None
        self._square_NT: Tensor | None = None

    def step(self, values_NT: Tensor, gradients_NT: Tensor) -> None:
        """Change the values in place."""
        if self._mean_NT is None or self._square_NT is None:
            self._mean_NT, self._square_NT = torch.zeros_like(values_NT), torch.zeros_like(values_NT)
        self._steps += 1
        values_NT.mul_(1 - self._rate * self._decay)
        self._mean_NT.lerp_(gradients_NT, 1 - self._beta1)
        self._square_NT.mul_(self._beta2).addcmul_(gradients_NT, gradients_NT, value=1 - self._beta2)
        size_NT = self._square_NT.sqrt().div_(math.sqrt(1 - self._beta2**self._steps)).add_(self._eps)
        values_NT.addcdiv_(self._mean_NT, size_NT, value=-self._rate / (1 - self._beta1**self._steps))

    def keep(self, rows: Sequence[int]) -> None:
        """Forget the other experts."""
        if self._mean_NT is not None and self._square_NT is not None:
            self._mean_NT, self._square_NT = self._mean_NT[list(rows)], self._square_NT[list(rows)]


class StackedAdafactor:
    """Adafactor (Shazeer and Stern 2018) without relative steps and scaling, as transformers has it."""

    _decay_rate, _eps, _largest = -0.8, 1e-30, 1.0

    def __init__(self, blocks: Sequence[Block], learning_rate: float) -> None:
        self._blocks = blocks
        self._rate = learning_rate
        self._steps = 0
        self._squares: list[tuple[Tensor, Tensor]] = []  # of each block: by row and by column of its factors

    def step(self, values_NT: Tensor, gradients_NT: Tensor) -> None:
        """Change the values in place."""
        self._steps += 1
        share = 1.0 - math.pow(self._steps, self._decay_rate)
        for index, block in enumerate(self._blocks):
            gradient_NK = block.of(gradients_NT)
            square_NK = gradient_NK**2 + self._eps
            by_row, by_column = square_NK.mean(dim=-1), square_NK.mean(dim=-2)
            if len(self._squares) == index:
                self._squares.append((torch.zeros_like(by_row), torch.zeros_like(by_column)))
            rows, columns = self._squares[index]
            rows.mul_(share).add_(by_row, alpha=1.0 - share)
            columns.mul_(share).add_(by_column, alpha=1.0 - share)
            row_factor = (rows / rows.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1)
            update_NK = row_factor * columns.unsqueeze(-2).rsqrt() * gradient_NK
            each = tuple(range(2, update_NK.ndim))  # a factor's own dimensions
            size_NK = update_NK.square().mean(dim=each, keepdim=True).sqrt()
            update_NK.div_((size_NK / self._largest).clamp_(min=1.0))
            block.of(values_NT).sub_(update_NK, alpha=self._rate)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget the other experts."""
        self._squares = [(by_row[list(rows)], by_column[list(rows)]) for by_row, by_column in self._squares]
