"""Between pictures and what a base's UNet works on: latents of a VAE, or the pixels themselves.

Legend: N pictures, C channels, H height, W width in pixels; c, h, w the same in model space.
"""

from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from suti.ml.diffusion.base import Base


@torch.no_grad()
def to_model_space(base: Base, pictures_NCHW: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Pictures as the UNet sees them; without a generator a VAE answers with its mean, with one it samples.

    Shapes: (N, 3, H, W) in [-1, 1] -> (N, c, h, w). Pixel bases hand the pictures through.
    """
    if base.vae is None:
        return pictures_NCHW
    vae = cast("Any", base.vae)
    latents: list[Tensor] = []
    for picture_CHW in pictures_NCHW.split(1):  # one at a time: equal bits however the pictures are grouped
        spread = vae.encode(picture_CHW.to(device=base.device, dtype=vae.dtype)).latent_dist
        latents.append(spread.mode() if generator is None else spread.sample(generator))
    shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
    return (torch.cat(latents) - shift) * float(vae.config.scaling_factor)


@torch.no_grad()
def to_pictures(base: Base, drawn_NCHW: Tensor) -> Tensor:
    """Pictures from what the UNet drew. Shapes: (N, c, h, w) -> (N, 3, H, W) in [-1, 1], float32."""
    return drawn_NCHW.float().clamp(-1, 1) if base.vae is None else decode(base.vae, drawn_NCHW)


@torch.no_grad()
def decode(vae: nn.Module, drawn_NCHW: Tensor) -> Tensor:
    """Pictures from latents, one at a time. Shapes: (N, c, h, w) -> (N, 3, H, W) in [-1, 1], float32."""
    decoder = cast("Any", vae)
    shift = float(getattr(decoder.config, "shift_factor", None) or 0.0)
    latents_NCHW = (drawn_NCHW / float(decoder.config.scaling_factor) + shift).to(decoder.dtype)
    decoded = [decoder.decode(latent_1CHW, return_dict=False)[0] for latent_1CHW in latents_NCHW.split(1)]
    return torch.cat(decoded).float().clamp(-1, 1)


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
    return pixels_HWC.permute(2, 0, 1).float() / 127.5 - 1.0


def tensor_to_picture(picture_CHW: Tensor) -> Image.Image:
    """The 8-bit picture of a tensor. Shapes: (3, H, W) in [-1, 1] -> PIL RGB."""
    pixels_HWC = ((picture_CHW.float().clamp(-1, 1) + 1.0) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels_HWC.cpu().contiguous().numpy())
