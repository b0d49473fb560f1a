"""Between picture files, their 8-bit pixels, and the range [-1, 1] that models work in.

Legend: C channels, H height, W width.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def picture_to_tensor(picture: Image.Image, size_px: int) -> Tensor:
    """A picture of any form as a square: its middle, resized. Shapes: PIL -> (3, size, size), float32 in [-1, 1]."""
    rgb = picture.convert("RGB")
    if rgb.size != (size_px, size_px):
        edge = min(rgb.size)
        left, top = (rgb.width - edge) // 2, (rgb.height - edge) // 2
        square = rgb.crop((left, top, left + edge, top + edge))  # not resize(box=...): that one sees beyond the box
        rgb = square.resize((size_px, size_px), Image.Resampling.BICUBIC)
    return as_tensor(rgb)


def as_tensor(rgb: Image.Image) -> Tensor:
    """An RGB picture as it is. Shapes: PIL -> (3, H, W), float32 in [-1, 1]."""
    pixels_HWC = torch.from_numpy(np.asarray(rgb).copy())
    return from_pixels(pixels_HWC.permute(2, 0, 1))


def tensor_to_picture(picture_CHW: Tensor) -> Image.Image:
    """The 8-bit picture of a tensor. Shapes: (3, H, W) in [-1, 1] -> PIL RGB."""
    return pixels_to_picture(to_pixels(picture_CHW))


def to_pixels(pictures_CHW: Tensor) -> Tensor:
    """What 8 bits keep of pictures. Shapes: (..., 3, H, W) in [-1, 1] -> the same, uint8."""
    return ((pictures_CHW.float().clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8)


def from_pixels(pixels_CHW: Tensor) -> Tensor:
    """Shapes: (..., 3, H, W) uint8 -> the same, float32 in [-1, 1]."""
    return pixels_CHW.float() / 127.5 - 1.0


def as_a_file_has_them(pictures_CHW: Tensor) -> Tensor:
    """Pictures after 8 bits. Shapes: (..., C, H, W) in [-1, 1], the same."""
    return from_pixels(to_pixels(pictures_CHW))


def pixels_to_picture(pixels_CHW: Tensor) -> Image.Image:
    """Shapes: (3, H, W) uint8 -> PIL RGB."""
    return Image.fromarray(pixels_CHW.permute(1, 2, 0).cpu().contiguous().numpy())
