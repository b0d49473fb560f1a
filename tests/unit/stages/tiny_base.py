"""A random pixel base small enough for tests, saved as real ones are."""

from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel

from suti.ml.diffusion.base import Base, save_base
from suti.ml.diffusion.text import TextEncoder
from tests.unit.ml.diffusion.tiny_pipelines import clip_config, clip_tokenizer

SIZE_PX = 16
SCHEDULE = {"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}


def save_tiny_base(folder: Path, *, seed: int = 0) -> Path:
    """The folder, for `load_base` and `load_subject_model`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = clip_tokenizer()
        unet = UNet2DConditionModel(
            sample_size=SIZE_PX,
            in_channels=3,
            out_channels=3,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=4,
        )
        text = TextEncoder([CLIPTextModel(clip_config(tokenizer))], [tokenizer], size_px=SIZE_PX)
    base = Base(unet, text, {"_class_name": "DDPMScheduler", **SCHEDULE}, vae=None, size_px=SIZE_PX, digest="")
    save_base(base, folder, dtype=torch.float32)
    return folder
