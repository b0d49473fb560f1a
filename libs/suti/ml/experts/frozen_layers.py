"""Layers that nobody tunes, as a processor computes them fastest: oneDNN's products, pictures channel by channel.

Linear layers and convolutions one pixel wide are the same product; torch hands the first to BLAS, which on some
processors takes twice as long as oneDNN, and the second to oneDNN. Between layouts a network copies everything at every
other layer. On accelerators the layers stay as they are.

Legend: M pictures, I inputs, O outputs, H height, W width, L rows of a picture.
"""

import torch
from torch import Tensor, nn

_BY_PIXEL = torch.channels_last


class FrozenProduct(nn.Module):
    """A linear layer, or a convolution one pixel wide."""

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.weight = layer.weight  # the layer's own, for those who look at it
        self.bias = layer.bias
        self._kernel_OI11 = layer.weight.detach().view(*layer.weight.shape[:2], 1, 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Shapes: (M, I, H, W) -> (M, O, H, W) of a convolution; (..., I) -> (..., O) of a linear layer."""
        if self.weight.ndim == 4:
            return self._product(rows.contiguous(memory_format=_BY_PIXEL))
        pictures = rows.shape[0] if rows.ndim > 2 else 1
        rows_MIL1 = rows.reshape(pictures, -1, 1, rows.shape[-1]).permute(0, 3, 1, 2)
        return self._product(rows_MIL1).permute(0, 2, 3, 1).reshape(*rows.shape[:-1], -1)

    def _product(self, rows_MIHW: Tensor) -> Tensor:
        return nn.functional.conv2d(rows_MIHW, self._kernel_OI11, self.bias)


class FrozenGroupNorm(nn.Module):
    """A group norm in float32, whatever comes in: torch's own goes back through bfloat16 many times as slowly."""

    def __init__(self, layer: nn.GroupNorm) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, pictures: Tensor) -> Tensor:
        """Shapes: (M, I, ...) -> (M, I, ...), as it came."""
        return self.layer(pictures.float()).to(pictures.dtype)


def lay_out(unet: nn.Module) -> None:
    """Give the layers of a UNet on the processor their fastest form, in place; its weights stay whose they are."""
    if next(unet.parameters()).device.type != "cpu":
        return
    for name, layer in list(unet.named_modules()):
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and _is_product(layer)):
            unet.set_submodule(name, FrozenProduct(layer))
        elif isinstance(layer, nn.GroupNorm):
            unet.set_submodule(name, FrozenGroupNorm(layer))
        elif isinstance(layer, nn.Conv2d):
            weight = layer.weight.detach().contiguous(memory_format=_BY_PIXEL)
            layer.weight = nn.Parameter(weight, requires_grad=False)


def drops_out(unet: nn.Module) -> bool:
    """Whether tuning differs from drawing: some share of what passes is dropped."""
    return any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in unet.modules())


def _is_product(layer: nn.Conv2d) -> bool:
    simple = (layer.stride, layer.groups) == ((1, 1), 1) and layer.padding in {(0, 0), "valid"}
    return simple and layer.weight.shape[2:] == (1, 1)
