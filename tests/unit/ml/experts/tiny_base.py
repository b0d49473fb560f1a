"""A base of some ten thousand weights that works on 16 pixels."""

from typing import Any

import torch
from transformers import CLIPTextModel

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.text import TextEncoder
from tests.unit.ml.diffusion import tiny_pipelines

SIZE_PX = 16
SCHEDULER: dict[str, Any] = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
}


def tiny_base(seed: int = 0) -> Base:
    """A pixel base with random weights, the same for the same seed."""
    torch.manual_seed(seed)
    tokenizer = tiny_pipelines.clip_tokenizer()
    base = Base(
        unet=tiny_pipelines.unet(channels=3, size=SIZE_PX, width=16),
        text=TextEncoder([CLIPTextModel(tiny_pipelines.clip_config(tokenizer))], [tokenizer], size_px=SIZE_PX),
        scheduler_config=dict(SCHEDULER),
        vae=None,
        size_px=SIZE_PX,
        digest="",
    )
    base.unet.eval().requires_grad_(False)
    base.text.eval().requires_grad_(False)
    return base


def one_cluster(count: int = 3) -> tuple[torch.Tensor, list[str]]:
    """Pictures of one subject, a bright square that wanders, with their texts. Shapes: (P, 3, 16, 16) in [-1, 1]."""
    pictures_PCHW = torch.full((count, 3, SIZE_PX, SIZE_PX), -0.5)
    for index in range(count):
        pictures_PCHW[index, 0, 4 : 10 + index, 2 + index : 9 + index] = 0.9
    return pictures_PCHW, [f"a red mug on table {index}" for index in range(count)]
