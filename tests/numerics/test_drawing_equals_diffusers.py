"""An imported base draws what diffusers' own pipelines draw from the same noise. The reference is diffusers."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from suti.ml.diffusion.base import load_base
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import seeded_noise
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.tuning import Expert
from tests.unit.ml.diffusion import tiny_pipelines

diffusers: Any = import_module("diffusers")
PROMPT = "A red Mug on the table"
SEEDS = (11, 12)
STEPS, GUIDANCE = 6, 5.0
TOLERANCE = 1e-3  # an eighth of a grey level; batches of other shapes round otherwise, and guidance makes it more


def ours(folder: Path) -> torch.Tensor:
    base = load_base(folder)
    expert = Expert(base=base, unet=base.unet, text=base.text, losses=())
    recipe = SamplingRecipe(sampler="ddim", steps=STEPS, guidance=GUIDANCE, batch_pictures=3)
    return torch.stack(list(draw_candidates(expert, [Order(PROMPT, seed) for seed in SEEDS], recipe=recipe)))


@pytest.mark.parametrize("layout", [tiny_pipelines.stable_diffusion, tiny_pipelines.stable_diffusion_xl])
def test_a_latent_base_draws_what_its_diffusers_pipeline_draws(layout: Any, tmp_path: Path) -> None:
    made = layout()
    made.save_pretrained(tmp_path)
    pipeline = type(made).from_pretrained(tmp_path)  # in evaluation mode, as users have it
    pipeline.scheduler = diffusers.DDIMScheduler.from_pretrained(tmp_path, subfolder="scheduler", clip_sample=False)
    pipeline.set_progress_bar_config(disable=True)

    theirs = pipeline(
        [PROMPT] * len(SEEDS),
        latents=seeded_noise(SEEDS, (4, tiny_pipelines.LATENT_PX, tiny_pipelines.LATENT_PX)),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        output_type="pt",
    ).images  # in [0, 1]

    torch.testing.assert_close(ours(tmp_path), theirs * 2 - 1, rtol=0, atol=TOLERANCE)


def test_deepfloyd_draws_what_its_diffusers_pipeline_draws(tmp_path: Path) -> None:
    tiny_pipelines.deepfloyd().save_pretrained(tmp_path)
    pipeline = diffusers.IFPipeline.from_pretrained(tmp_path, safety_checker=None, watermarker=None)
    config = dict(pipeline.scheduler.config) | {"clip_sample": True, "variance_type": "fixed_small"}
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(config)
    pipeline.set_progress_bar_config(disable=True)

    theirs = pipeline(
        [PROMPT] * len(SEEDS),
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        clean_caption=False,
        output_type="pt",
    ).images  # IF's "pt" is in [-1, 1]

    torch.testing.assert_close(ours(tmp_path), theirs.clamp(-1, 1), rtol=0, atol=TOLERANCE)
