"""Training the toy super-resolution model, 32 to 128 pixels: DeepFloyd IF's second stage in small.

It sees crops of exact renders, the same views drawn 32 pixels wide and brought to size, and captions through the toy
base's own text encoder, which stays as it is. It draws what is to be added to the small picture: a network that
normalises its features learns edges soon, and the absolute colours of whole pictures late.

Legend: P pictures, N crops of a batch, C channels, H height, W width.
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import Tensor, nn

from suti.core.seeds import derive_seed
from suti.ml.apprentice.average import WeightAverage
from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.pixels import from_pixels
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEncoder
from suti.toyworld.training.base import TEXT_WIDTH
from suti.toyworld.training.drawings import Drawings
from suti.toyworld.training.pool import captioned_pool

LOW_PX, FACTOR = 32, 4
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "sample",  # most of it follows from the small picture
    "clip_sample": True,
}
NOISING: dict[str, Any] = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}
SAMPLING = {"sampler": "dpmsolver++", "steps": 2, "guidance": 1.0, "noise_level": 20, "batch_pictures": 4}
CARD = {
    "factor": FACTOR,
    "align_corners": False,
    "residual": True,
    "description": "toy pictures four times as wide and high; comes with the toy base",
}


@dataclass(frozen=True)
class SuperResolutionRecipe:
    """How much of what in a step; as the committed model was trained."""

    steps: int
    batch: int = 16
    crop_px: int = 64
    max_noise_level: int = 300
    learning_rate: float = 2e-3
    keep_text: float = 0.9
    save_every: int = 100


@dataclass(frozen=True)
class PicturePairs:
    """The same views drawn twice, with several true captions each."""

    low_PCHW: Tensor  # uint8, LOW_PX wide
    high_PCHW: Tensor  # uint8, FACTOR times as wide
    captions: Sequence[Sequence[str]]

    def crops(self, recipe: SuperResolutionRecipe, generator: torch.Generator) -> tuple[Tensor, Tensor, list[str]]:
        """Crops with what the network is given of them. Shapes: 2 x (N, C, H, W) in [-1, 1], N texts."""
        high: list[Tensor] = []
        low: list[Tensor] = []
        texts: list[str] = []
        rows: list[int] = torch.randint(0, len(self.captions), (recipe.batch,), generator=generator).tolist()
        for row in rows:
            given_CHW = enlarged(from_pixels(self.low_PCHW[row : row + 1]))[0]
            down, across = _corner(given_CHW.shape[-1] - recipe.crop_px, generator)
            window = (..., slice(down, down + recipe.crop_px), slice(across, across + recipe.crop_px))
            high.append(from_pixels(self.high_PCHW[row][window]))
            low.append(given_CHW[window])
            said = self.captions[row]
            chosen, kept = torch.rand(2, generator=generator)
            texts.append(said[int(chosen * len(said))] if kept < recipe.keep_text else "")
        return torch.stack(high), torch.stack(low), texts


def picture_pairs(low: Drawings, high: Drawings) -> PicturePairs:
    """The pairs of two drawings of the same views."""
    return PicturePairs(low.pictures_PCHW, high.pictures_PCHW, captioned_pool(low).captions)


def new_unet() -> UNet2DConditionModel:
    """About 2.5 million weights, nearly all of them where pictures are small; attention to the text alone."""
    return UNet2DConditionModel(
        sample_size=LOW_PX * FACTOR,
        in_channels=6,  # the noisy picture, and the low-resolution one brought to its size
        out_channels=3,
        down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        only_cross_attention=True,
        mid_block_only_cross_attention=True,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=3,  # the number of heads, whatever diffusers calls it
        norm_num_groups=8,
        class_embed_type="timestep",  # the noise level of the low-resolution picture
    )


def train_super_resolution(
    pairs: PicturePairs,
    folder: Path,
    *,
    base: Path,
    recipe: SuperResolutionRecipe,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """Go on from the model in `folder`, or a new one, and save it, averaged, as a diffusers folder in half precision.

    `base` is the folder whose text encoder it reads captions with.
    """
    text = load_base(base).text
    unet = UNet2DConditionModel.from_pretrained(folder / "unet") if (folder / "unet").exists() else new_unet()
    unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub
    unet.train()
    schedule, noising = NoiseSchedule.from_config(SCHEDULER), NoiseSchedule.from_config(NOISING)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=recipe.learning_rate, total_steps=recipe.steps, pct_start=0.1
    )
    average = WeightAverage(unet, decay=0.995)
    for step in range(recipe.steps):
        generator = torch.Generator().manual_seed(derive_seed(seed, "toy-superres", step))
        loss = _loss(unet, text, schedule, noising, pairs, recipe, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        rates.step()
        average.update(unet, step)
        if progress is not None:
            progress(step + 1, recipe.steps, float(loss.detach()))
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            averaged = copy.deepcopy(unet)
            average.copy_to(averaged)
            save(averaged, text, folder)


def _loss(  # noqa: PLR0917 - private, one caller
    unet: nn.Module,
    text: TextEncoder,
    schedule: NoiseSchedule,
    noising: NoiseSchedule,
    pairs: PicturePairs,
    recipe: SuperResolutionRecipe,
    generator: torch.Generator,
) -> Tensor:
    high_NCHW, low_NCHW, texts = pairs.crops(recipe, generator)
    t_N = torch.randint(0, schedule.steps, (recipe.batch,), generator=generator)
    level_N = (torch.rand(recipe.batch, generator=generator).square() * recipe.max_noise_level).long()
    added_NCHW = high_NCHW - low_NCHW
    noise_NCHW = torch.randn(high_NCHW.shape, generator=generator)
    given_NCHW = noising.add_noise(low_NCHW, torch.randn(low_NCHW.shape, generator=generator), level_N)
    noisy_NCHW = schedule.add_noise(added_NCHW, noise_NCHW, t_N)
    both_NCHW = torch.cat([noisy_NCHW, given_NCHW], dim=1).contiguous(memory_format=torch.channels_last)
    hidden_NLD = text.encode(texts, batch=len(texts)).hidden_NLD
    with torch.autocast("cpu", torch.bfloat16):
        answer_NCHW = unet(both_NCHW, t_N, encoder_hidden_states=hidden_NLD, class_labels=level_N).sample
    return denoising_loss(answer_NCHW, schedule.target(added_NCHW, noise_NCHW, t_N)).mean()


def enlarged(low_NCHW: Tensor) -> Tensor:
    """Low-resolution pictures at full size, as the network is given them. Shapes: (N, C, H, W) -> FACTOR times."""
    return F.interpolate(low_NCHW, scale_factor=FACTOR, mode="bilinear", align_corners=False)


def save(unet: Any, text: TextEncoder, folder: Path) -> None:
    """Write a folder that `suti.ml.super_resolution.files.load_super_resolution` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(unet).half().save_pretrained(folder / "unet", safe_serialization=True)
    model: Any = text.models[0]
    copy.deepcopy(model).half().save_pretrained(folder / "text_encoder", safe_serialization=True)
    text.tokenizers[0].save_pretrained(folder / "tokenizer")
    DDPMScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    DDPMScheduler(**NOISING).save_pretrained(folder / "image_noising_scheduler")
    index = {
        "_class_name": "SutiToySuperResolution",
        "image_noising_scheduler": ["diffusers", "DDPMScheduler"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    for name, content in (("model_index.json", index), ("suti.json", CARD), ("sampling.json", SAMPLING)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _corner(free_px: int, generator: torch.Generator) -> tuple[int, int]:
    """Where a crop begins, down and across; beyond the edge means at the edge, so that edges are seen often."""
    wanted = torch.randint(-free_px // 4, free_px + free_px // 4 + 1, (2,), generator=generator).clamp(0, free_px)
    down, across = wanted.tolist()
    return down, across
