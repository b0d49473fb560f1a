"""Tiny super-resolution pipelines with random weights: Stable Diffusion's upscaler and DeepFloyd IF's second stage."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel

from tests.unit.ml.diffusion import tiny_pipelines

diffusers: Any = import_module("diffusers")  # its lazy names are unknown to a type checker

LOW_PX = 8


def stable_diffusion_upscaler(seed: int = 0) -> Any:
    """The parts and file layout of Stable Diffusion's x4 upscaler, enlarging four times: 8 to 32 pixels."""
    torch.manual_seed(seed)
    tokenizer = tiny_pipelines.clip_tokenizer()
    return diffusers.StableDiffusionUpscalePipeline(
        vae=diffusers.AutoencoderKL(
            in_channels=3,
            out_channels=3,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 16),
            norm_num_groups=4,
            sample_size=4 * LOW_PX,
            scaling_factor=0.08333,
        ),
        text_encoder=CLIPTextModel(tiny_pipelines.clip_config(tokenizer)),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=LOW_PX,
            in_channels=7,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            attention_head_dim=8,
            cross_attention_dim=16,
            norm_num_groups=8,
            num_class_embeds=1000,
            only_cross_attention=(True, False),
        ),
        low_res_scheduler=diffusers.DDPMScheduler(
            num_train_timesteps=1000, beta_start=0.0001, beta_end=0.02, beta_schedule="scaled_linear"
        ),
        scheduler=diffusers.DDIMScheduler(
            num_train_timesteps=1000,
            beta_start=0.0001,
            beta_end=0.02,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            set_alpha_to_one=False,
            steps_offset=1,
            clip_sample=False,
        ),
        safety_checker=None,
        feature_extractor=None,
        max_noise_level=350,
    )


def deepfloyd_second_stage(seed: int = 0) -> Any:
    """The parts and file layout of DeepFloyd IF's second stage: six channels, T5, a learned variance; 8 to 32 px."""
    first = tiny_pipelines.deepfloyd(seed)
    return diffusers.IFSuperResolutionPipeline(
        tokenizer=first.tokenizer,
        text_encoder=first.text_encoder,
        unet=diffusers.UNet2DConditionModel(
            sample_size=4 * LOW_PX,
            in_channels=6,
            out_channels=6,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            block_out_channels=(16, 32),
            layers_per_block=1,
            attention_head_dim=8,
            cross_attention_dim=16,
            encoder_hid_dim=16,
            encoder_hid_dim_type="text_proj",
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            class_embed_type="timestep",
            resnet_time_scale_shift="scale_shift",
            only_cross_attention=(False, True),
            norm_num_groups=8,
            act_fn="gelu",
        ),
        scheduler=diffusers.DDPMScheduler(
            num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", variance_type="learned_range"
        ),
        image_noising_scheduler=diffusers.DDPMScheduler(
            num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", variance_type="fixed_small"
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def saved(pipeline: Any, folder: Path) -> Path:
    """The pipeline as its own class writes it."""
    pipeline.save_pretrained(folder)
    return folder
