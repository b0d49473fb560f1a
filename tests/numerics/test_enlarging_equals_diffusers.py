"""A super-resolution model enlarges as diffusers' own pipelines do from the same noise. The reference is diffusers."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from suti.ml.diffusion.sampling import seeded_noise
from suti.ml.super_resolution.drawing import condition, enlarge, noising_seeds
from suti.ml.super_resolution.files import load_super_resolution
from suti.ml.super_resolution.recipe import EnlargingRecipe
from tests.unit.ml.super_resolution.tiny_upscalers import (
    LOW_PX,
    deepfloyd_second_stage,
    saved,
    stable_diffusion_upscaler,
)

diffusers: Any = import_module("diffusers")
PROMPT = "A red Mug on the table"
SEEDS = (11, 12)
STEPS, GUIDANCE = 6, 3.0
TOLERANCE = 1e-3  # an eighth of a grey level; batches of other shapes round otherwise, and guidance makes it more
LOW_NCHW = torch.rand(len(SEEDS), 3, LOW_PX, LOW_PX, generator=torch.Generator().manual_seed(3)) * 2 - 1


def generators() -> list[torch.Generator]:
    """Of the noise that the small pictures are given; their pipelines draw it first."""
    return [torch.Generator().manual_seed(seed) for seed in noising_seeds(SEEDS)]


def ours(folder: Path, *, noise_level: int, guidance: float = GUIDANCE) -> torch.Tensor:
    model = load_super_resolution(folder)
    recipe = EnlargingRecipe(
        sampler="ddim", steps=STEPS, guidance=guidance, noise_level=noise_level, batch_pictures=len(SEEDS)
    )
    return enlarge(model, LOW_NCHW, prompts=[PROMPT] * len(SEEDS), seeds=SEEDS, recipe=recipe)


@pytest.mark.parametrize(("noise_level", "guidance"), [(0, GUIDANCE), (20, GUIDANCE), (300, 1.0)])
def test_the_upscaler_of_stable_diffusion_enlarges_as_its_diffusers_pipeline(
    tmp_path: Path, noise_level: int, guidance: float
) -> None:
    saved(stable_diffusion_upscaler(), tmp_path)
    pipeline = diffusers.StableDiffusionUpscalePipeline.from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)

    theirs = pipeline(
        [PROMPT] * len(SEEDS),
        image=(LOW_NCHW + 1) / 2,
        latents=seeded_noise(SEEDS, (4, LOW_PX, LOW_PX)),
        generator=generators(),
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        noise_level=noise_level,
        output_type="pt",
    ).images  # in [0, 1]

    assert theirs.shape == (len(SEEDS), 3, 4 * LOW_PX, 4 * LOW_PX)
    torch.testing.assert_close(
        ours(tmp_path, noise_level=noise_level, guidance=guidance), theirs * 2 - 1, rtol=0, atol=TOLERANCE
    )


class GivenNoise(diffusers.IFSuperResolutionPipeline):
    """DeepFloyd's pipeline, beginning as ours does: its own takes both noises from one generator."""

    def prepare_intermediate_images(self, *_: Any) -> torch.Tensor:
        return seeded_noise(SEEDS, (3, 4 * LOW_PX, 4 * LOW_PX))


@pytest.mark.parametrize("noise_level", [0, 250])
def test_deepfloyds_second_stage_enlarges_as_its_diffusers_pipeline(tmp_path: Path, noise_level: int) -> None:
    saved(deepfloyd_second_stage(), tmp_path)
    pipeline = GivenNoise.from_pretrained(tmp_path, safety_checker=None, watermarker=None)
    config = dict(pipeline.scheduler.config) | {"clip_sample": True, "variance_type": "fixed_small"}
    pipeline.scheduler = diffusers.DDIMScheduler.from_config(config)
    pipeline.set_progress_bar_config(disable=True)

    theirs = pipeline(
        [PROMPT] * len(SEEDS),
        image=LOW_NCHW,
        generator=generators(),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        noise_level=noise_level,
        clean_caption=False,
        output_type="pt",
    ).images  # IF's "pt" is in [-1, 1]

    torch.testing.assert_close(ours(tmp_path, noise_level=noise_level), theirs.clamp(-1, 1), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("layout", [stable_diffusion_upscaler, deepfloyd_second_stage])
def test_small_pictures_are_noised_as_the_folders_own_scheduler_says(layout: Any, tmp_path: Path) -> None:
    model = load_super_resolution(saved(layout(), tmp_path))
    part = "low_res_scheduler" if model.vae is not None else "image_noising_scheduler"
    scheduler = diffusers.DDPMScheduler.from_pretrained(tmp_path, subfolder=part)
    size = LOW_PX if model.vae is not None else 4 * LOW_PX
    given_NCHW = torch.nn.functional.interpolate(LOW_NCHW, (size, size), mode="bilinear", align_corners=True)

    noise_NCHW = torch.cat([torch.randn(1, 3, size, size, generator=one) for one in generators()])
    theirs_NCHW = scheduler.add_noise(given_NCHW, noise_NCHW, torch.tensor([100] * len(SEEDS)))

    torch.testing.assert_close(condition(model, LOW_NCHW, SEEDS, noise_level=100), theirs_NCHW, rtol=0, atol=1e-6)
