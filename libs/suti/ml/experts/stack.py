"""The adapters of many experts over one frozen UNet, all their factors in one matrix, a row for each expert.

Legend: N experts, T factors of one expert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from suti.ml.experts.frozen_layers import drops_out, lay_out
from suti.ml.experts.lora import adapted_layers, sharing_copy
from suti.ml.experts.recipe import LoraPart
from suti.ml.experts.stacked_attention import StackedAttention, can_be_stacked
from suti.ml.experts.stacked_layers import StackedConv2d, StackedLinear


@dataclass(frozen=True)
class Block:
    """Factors of one shape, side by side in the matrix: columns [start, start + count x size)."""

    start: int
    names: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Columns of one factor."""
        return torch.Size(self.shape).numel()

    def of(self, values_NT: Tensor) -> Tensor:
        """These factors, as a view. Shapes: (N, T) -> (N, names, *shape)."""
        columns = values_NT[:, self.start : self.start + len(self.names) * self.size]
        return columns.unflatten(1, (len(self.names), *self.shape))


class Stack:
    """A UNet whose rows belong to N experts, as many rows for each, one after the other.

    It shares the given UNet's weights and leaves it as it is.
    """

    def __init__(
        self, unet: nn.Module, adapters: Sequence[Mapping[str, Tensor]], *, targets: Sequence[LoraPart]
    ) -> None:
        self.unet = sharing_copy(unet)
        self._layers: dict[str, StackedLinear | StackedConv2d] = {}
        for name, frozen in adapted_layers(self.unet, targets).items():
            layer = StackedLinear(frozen) if isinstance(frozen, nn.Linear) else StackedConv2d(frozen)
            self.unet.set_submodule(name, layer)
            self._layers[name] = layer
        for name, module in list(self.unet.named_modules()):
            if can_be_stacked(module):
                self.unet.set_submodule(name, StackedAttention(cast("Attention", module)))
        lay_out(self.unet)
        self.blocks = _blocks(adapters[0])
        device = next(unet.parameters()).device
        ordered = [name for block in self.blocks for name in block.names]
        rows = [torch.cat([adapter[name].flatten() for name in ordered]) for adapter in adapters]
        self._factors: dict[str, Tensor] = {}
        self.values_NT = torch.empty(0)
        self._set(torch.stack(rows).to(device))

    def __len__(self) -> int:
        return len(self.values_NT)

    def gradients(self, loss: Tensor) -> Tensor:
        """Of a loss by every factor. Shapes: () -> (N, T)."""
        found = torch.autograd.grad(loss, list(self._factors.values()))
        return torch.cat([gradient.flatten(1) for gradient in found], dim=1)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these experts alone."""
        self._set(self.values_NT[list(rows)])

    def adapter(self, row: int) -> dict[str, Tensor]:
        """One expert's factors, by PEFT's names in the UNet's order, on the CPU and its own."""
        return {
            f"{layer}.lora_{side}.weight": self._factors[f"{layer}.lora_{side}.weight"].detach()[row].cpu().clone()
            for layer in self._layers
            for side in "AB"
        }

    def learn(self, *, learning: bool) -> None:
        """Whether the factors ask for gradients.

        The UNet goes to training mode where that makes a difference: diffusers copies pictures in it, for nothing here.
        """
        self.unet.train(learning and drops_out(self.unet))
        for factor in self._factors.values():
            factor.requires_grad_(learning)

    def _set(self, values_NT: Tensor) -> None:
        self.values_NT = values_NT
        learning = any(factor.requires_grad for factor in self._factors.values())
        self._factors = {
            name: factor_N
            for block in self.blocks
            for name, factor_N in zip(block.names, block.of(values_NT).unbind(1), strict=True)
        }
        for name, layer in self._layers.items():
            layer.A = self._factors[f"{name}.lora_A.weight"]
            layer.B = self._factors[f"{name}.lora_B.weight"]
        self.learn(learning=learning)


def _blocks(adapter: Mapping[str, Tensor]) -> list[Block]:
    """Factors by shape, so that what is done to each can be done to all of a shape at once."""
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name, value in adapter.items():
        by_shape.setdefault(tuple(value.shape), []).append(name)
    blocks: list[Block] = []
    start = 0
    for shape, names in by_shape.items():
        blocks.append(Block(start, tuple(names), shape))
        start += len(names) * blocks[-1].size
    return blocks
