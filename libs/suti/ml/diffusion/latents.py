"""Between pictures and what a base's UNet works on: latents of a VAE, or the pixels themselves.

Legend: N pictures, C channels, H height, W width in pixels; c, h, w the same in model space.
"""

from typing import Any, cast

import torch
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
