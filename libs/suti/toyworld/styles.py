"""How a whole picture is made: transforms of finished photos.

Legend: N pictures, C channels (red, green, blue), H height, W width. All take and return (N, C, H, W) in [0, 1].
"""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


def styled(photos_NCHW: Tensor, style: str) -> Tensor:
    """The pictures in another style; photos stay as they are."""
    return photos_NCHW if style == "photo" else _STYLES[style](photos_NCHW).clamp(0, 1)


def _watercolor(photos_NCHW: Tensor) -> Tensor:
    size = photos_NCHW.shape[-1]
    soft = _blurred(photos_NCHW, max(1, size // 32))
    pale = 0.62 * soft + 0.38
    line = torch.linspace(-1, 1, size)
    ragged = 0.05 * torch.sin(line * 8 + 1)
    edge = torch.maximum(line.abs()[None, :] + ragged[:, None], line.abs()[:, None] + ragged[None, :])
    paper = ((edge - 0.74) / 0.24).clamp(0, 1)
    return torch.lerp(pale, torch.tensor((0.99, 0.98, 0.95))[:, None, None].expand_as(pale), paper.expand_as(pale))


def _pencil(photos_NCHW: Tensor) -> Tensor:
    grey_N1HW = _grey(photos_NCHW)
    lines_N1HW = (_edges(photos_NCHW) * 1.6).clamp(0, 1)
    tone_N1HW = 0.97 - 0.30 * (1 - grey_N1HW) - 0.75 * lines_N1HW
    return tone_N1HW * torch.tensor((1.0, 0.99, 0.96))[:, None, None]


def _neon(photos_NCHW: Tensor) -> Tensor:
    lines_N1HW = (_edges(photos_NCHW) * 1.5).clamp(0, 1)
    around = _spread(photos_NCHW, max(1, photos_NCHW.shape[-1] // 32))
    vivid = around / around.amax(dim=1, keepdim=True).clamp(min=0.15)
    vivid = (vivid - vivid.amin(dim=1, keepdim=True) * 0.75) * 1.15
    dark = torch.tensor((0.05, 0.02, 0.10))[:, None, None]
    return dark + 0.14 * photos_NCHW + (1.3 * lines_N1HW).clamp(0, 1) * vivid


def _pixel(photos_NCHW: Tensor) -> Tensor:
    size = photos_NCHW.shape[-1]
    block = max(2, size // 16)
    small = F.adaptive_avg_pool2d(photos_NCHW, max(1, size // block))
    return F.interpolate((small * 4).round() / 4, size=photos_NCHW.shape[-2:], mode="nearest")


def _pop(photos_NCHW: Tensor) -> Tensor:
    grey_N1HW = _grey(photos_NCHW)
    vivid = grey_N1HW + (photos_NCHW - grey_N1HW) * 2.2
    flat = ((vivid - 0.5) * 1.5 + 0.5).clamp(0, 1)
    flat = (flat * 2).round() / 2
    return torch.stack((flat[:, 0], flat[:, 1] * 0.85, 0.25 + 0.6 * flat[:, 2]), dim=1)


def _sepia(photos_NCHW: Tensor) -> Tensor:
    grey_N1HW = 0.12 + 0.82 * _grey(photos_NCHW)
    return grey_N1HW * torch.tensor((1.0, 0.82, 0.58))[:, None, None]


def _grey(photos_NCHW: Tensor) -> Tensor:
    return (photos_NCHW * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _edges(photos_NCHW: Tensor) -> Tensor:
    """How much neighbours differ, (N, 1, H, W), about 1 at an ink line; in steps of 1/32 of the picture's width."""
    step = max(1, photos_NCHW.shape[-1] // 32)
    padded = F.pad(photos_NCHW, (step, 0, step, 0), mode="replicate")
    across = (photos_NCHW - padded[..., step:, :-step]).abs().amax(dim=1, keepdim=True)
    down = (photos_NCHW - padded[..., :-step, step:]).abs().amax(dim=1, keepdim=True)
    return torch.maximum(across, down)


def _blurred(photos_NCHW: Tensor, reach: int) -> Tensor:
    padded = F.pad(photos_NCHW, (reach,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * reach + 1, stride=1)


def _spread(photos_NCHW: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(photos_NCHW, 2 * reach + 1, stride=1, padding=reach)


_STYLES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "watercolor": _watercolor,
    "pencil": _pencil,
    "neon": _neon,
    "pixel": _pixel,
    "pop": _pop,
    "sepia": _sepia,
}
