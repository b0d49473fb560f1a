"""Training the toy base: a text-to-image diffusion model of the same classes and files as the real ones.

Legend: N pictures, L text tokens, D width.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import nn

from suti.core.seeds import derive_seed
from suti.ml.apprentice.average import WeightAverage
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.toyworld.training.pool import CaptionedPool
from suti.toyworld.training.text import MAX_TOKENS, new_text_encoder, train_tokenizer

TEXT_WIDTH = 96
SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "v_prediction",
    "clip_sample": True,
}


def new_unet(size_px: int = 32) -> UNet2DConditionModel:
    """About four million weights: attention at 16x16 (to text and subject) and 8x8, the text also in every block."""
    return UNet2DConditionModel(
        sample_size=size_px,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        # 256 tokens to one another are slow on a CPU.
        only_cross_attention=(False, True, False),  # pyright: ignore[reportArgumentType]  # diffusers means tuple[bool, ...]
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        # The number of heads, whatever diffusers calls it: 32 wide each.
        attention_head_dim=(1, 2, 4),  # pyright: ignore[reportArgumentType]  # diffusers means tuple[int, ...]
        norm_num_groups=16,
        in_channels=3,
        out_channels=3,
        addition_embed_type="text",  # the pooled text joins the time embedding, as in DeepFloyd IF
        addition_embed_type_num_heads=4,
    )


def train_base(
    pool: CaptionedPool,
    folder: Path,
    *,
    steps: int,
    batch: int = 64,
    learning_rate: float = 1e-3,
    text_dropout: float = 0.1,
    seed: int = 0,
    save_every: int = 500,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train text encoder and UNet together and save them as a diffusers folder in half precision."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer(pool.all_texts())
    both = nn.ModuleDict({"unet": new_unet(), "text": new_text_encoder(tokenizer, width=TEXT_WIDTH)})
    both["unet"].to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    scheduler = DDPMScheduler.from_config(SCHEDULER)
    schedule = NoiseSchedule.from_config(SCHEDULER)
    optimizer = torch.optim.AdamW(both.parameters(), lr=learning_rate, weight_decay=0.01)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, total_steps=steps, pct_start=0.05)
    average = WeightAverage(both, decay=0.998)
    both.train()
    for step in range(steps):
        generator = torch.Generator().manual_seed(derive_seed(seed, "toy-base", step))
        pictures_NCHW, captions = pool.captioned(step, batch)
        dropped = torch.rand(batch, generator=generator) < text_dropout
        texts = ["" if drop else text for text, drop in zip(captions, dropped.tolist(), strict=True)]
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        t_N = torch.randint(0, schedule.steps, (batch,), generator=generator)
        noise_NCHW = torch.randn(pictures_NCHW.shape, generator=generator)
        noisy_NCHW = schedule.add_noise(pictures_NCHW, noise_NCHW, t_N).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            text_NLD = both["text"](input_ids=tokens["input_ids"]).last_hidden_state
            answer_NCHW = both["unet"](noisy_NCHW, t_N, encoder_hidden_states=text_NLD).sample
        loss = denoising_loss(answer_NCHW, schedule.target(pictures_NCHW, noise_NCHW, t_N)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        rates.step()
        average.update(both, step)
        if progress is not None:
            progress(step + 1, steps, float(loss.detach()))
        if (step + 1) % save_every == 0 or step + 1 == steps:
            _save(both, average, tokenizer, scheduler, folder)


def _save(both: nn.ModuleDict, average: WeightAverage, tokenizer: Any, scheduler: Any, folder: Path) -> None:
    """Write the averaged weights; training goes on with its own."""
    own = {name: value.detach().clone() for name, value in both.named_parameters()}
    average.copy_to(both)
    save_parts(folder, unet=both["unet"], text=both["text"], tokenizer=tokenizer, scheduler=scheduler)
    with torch.no_grad():
        for name, value in both.named_parameters():
            value.copy_(own[name])


def save_parts(folder: Path, *, unet: Any, text: Any, tokenizer: Any, scheduler: Any) -> None:
    """Write a diffusers folder: each part by its own class's `save_pretrained`, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(unet).half().save_pretrained(folder / "unet", safe_serialization=True)
    copy.deepcopy(text).half().save_pretrained(folder / "text_encoder", safe_serialization=True)
    tokenizer.save_pretrained(folder / "tokenizer")
    scheduler.save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "SutiToyBase",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
