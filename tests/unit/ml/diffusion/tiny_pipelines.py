"""Tiny pipelines with random weights: Stable Diffusion 1.5, SDXL and DeepFloyd IF, all of diffusers' own classes."""

from importlib import import_module
from typing import Any

import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

diffusers: Any = import_module("diffusers")  # its lazy names are unknown to a type checker

LATENT_PX = 8
PIXEL_PX = 16
SD_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def stable_diffusion(seed: int = 0) -> Any:
    """The parts and file layout of Stable Diffusion 1.5."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    return diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config(tokenizer)),
        tokenizer=tokenizer,
        unet=unet(channels=4, size=LATENT_PX, width=16),
        scheduler=diffusers.DDIMScheduler(**SD_SCHEDULE, set_alpha_to_one=False, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(seed: int = 0) -> Any:
    """The parts and file layout of SDXL: two text encoders, pooled texts, time ids."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(clip_config(tokenizer)),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(tokenizer, projection_dim=16)),
        tokenizer=tokenizer,
        tokenizer_2=clip_tokenizer(),
        unet=unet(
            channels=4,
            size=LATENT_PX,
            width=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(**SD_SCHEDULE),
    )


def deepfloyd(seed: int = 0) -> Any:
    """The parts and file layout of DeepFloyd IF's first stage: pixels, T5, a learned variance."""
    torch.manual_seed(seed)
    tokenizer = T5Tokenizer(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *_t5_pieces()], extra_ids=0)
    text_config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    return diffusers.IFPipeline(
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(text_config),
        unet=diffusers.UNet2DConditionModel(
            sample_size=PIXEL_PX,
            in_channels=3,
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
            resnet_time_scale_shift="scale_shift",
            only_cross_attention=(False, True),
            norm_num_groups=8,
            act_fn="gelu",
        ),
        scheduler=diffusers.DDPMScheduler(
            num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", variance_type="learned_range"
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def unet(*, channels: int, size: int, width: int, **more: Any) -> Any:
    """A UNet of some ten thousand weights."""
    return diffusers.UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        attention_head_dim=8,
        cross_attention_dim=width,
        norm_num_groups=8,
        **more,
    )


def vae() -> Any:
    """Halves height and width."""
    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(8, 16),
        norm_num_groups=4,
        sample_size=2 * LATENT_PX,
        scaling_factor=0.18215,
    )


def clip_tokenizer(length: int = 16) -> CLIPTokenizer:
    """One token a letter; any text can be written."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, merges=[], model_max_length=length)


def clip_config(tokenizer: Any, *, projection_dim: int = 16) -> CLIPTextConfig:
    """A text encoder 16 wide."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=projection_dim,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5_pieces() -> list[tuple[str, float]]:
    return [("▁", -2.0), *((chr(code), -3.0) for code in range(97, 123))]
