"""Tiny apprentices with random weights: a pixel base of three resolutions whose added attention listens."""

from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel

from suti.ml.diffusion.base import Base
from suti.ml.diffusion.text import TextEncoder
from suti.ml.subject.files import SubjectModel, save_subject_model
from suti.ml.subject.network import SubjectUNet
from tests.unit.ml.diffusion.tiny_pipelines import clip_config, clip_tokenizer

SIZE_PX = 16
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "clip_sample": True,
}


def tiny_subject_model(seed: int = 0) -> SubjectModel:
    """Some twenty thousand weights; pictures of 16 x 16 pixels."""
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
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()
    text = TextEncoder([CLIPTextModel(clip_config(tokenizer)).eval()], [tokenizer], size_px=SIZE_PX)
    base = Base(unet=unet, text=text, scheduler_config=dict(SCHEDULER), vae=None, size_px=SIZE_PX, digest="")
    network = SubjectUNet(unet).eval()
    for name, parameter in network.added.named_parameters():
        if "to_out" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return SubjectModel(base=base, network=network)


def save_tiny_subject_model(folder: Path, seed: int = 0) -> Path:
    """The same as a folder."""
    save_subject_model(tiny_subject_model(seed), folder, dtype=torch.float32)
    return folder
