"""Samplers against their papers' formulas in numpy, and against diffusers' schedulers in a plain loop."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from suti.ml.diffusion.recipe import SamplerName
from suti.ml.diffusion.sampling import draw, seeded_noise

LINEAR: dict[str, Any] = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
ABAR_T = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
SHAPE = (4, 2, 2)
STEPS = 5
SEEDS = [3, 4]


def network(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
    """Something that depends on both, and is no denoiser at all."""
    return torch.tanh(noisy_NCHW) * 0.7 + timestep / 4000


def drawn(sampler: SamplerName, config: dict[str, Any] = LINEAR) -> Tensor:
    return draw(
        network, seeds=SEEDS, shape_CHW=SHAPE, scheduler_config=config, sampler=sampler, steps=STEPS, pixel_space=False
    )


def test_ddim_is_equation_twelve_of_its_paper() -> None:
    x = seeded_noise(SEEDS, SHAPE).double().numpy()
    stride = 1000 // STEPS
    for t in range(1000 - stride, -1, -stride):
        noise = network(torch.from_numpy(x), t).numpy()
        before = ABAR_T[t - stride] if t >= stride else 1.0
        x0 = (x - np.sqrt(1 - ABAR_T[t]) * noise) / np.sqrt(ABAR_T[t])
        x = np.sqrt(before) * x0 + np.sqrt(1 - before) * noise  # Song et al. 2021, equation 12 with sigma = 0

    np.testing.assert_allclose(drawn("ddim").numpy(), x, rtol=1e-3, atol=1e-3)


def test_ddpm_is_the_posterior_of_its_paper() -> None:
    x = seeded_noise(SEEDS, SHAPE).double().numpy()
    inner = [torch.Generator().manual_seed(seed ^ 0x5EED) for seed in SEEDS]  # the noise within the steps
    stride = 1000 // STEPS
    for t in range(1000 - stride, -1, -stride):
        noise = network(torch.from_numpy(x), t).numpy()
        before = ABAR_T[t - stride] if t >= stride else 1.0
        alpha = ABAR_T[t] / before
        x0 = (x - np.sqrt(1 - ABAR_T[t]) * noise) / np.sqrt(ABAR_T[t])
        # Ho et al. 2020, equation 7, with the steps in between left out.
        mean = (np.sqrt(before) * (1 - alpha) * x0 + np.sqrt(alpha) * (1 - before) * x) / (1 - ABAR_T[t])
        variance = (1 - before) / (1 - ABAR_T[t]) * (1 - alpha)
        x = mean
        if t > 0:
            x = x + np.sqrt(variance) * torch.stack([torch.randn(SHAPE, generator=one) for one in inner]).numpy()

    np.testing.assert_allclose(drawn("ddpm").numpy(), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    ("sampler", "scheduler_class", "options"),
    [
        ("ddpm", DDPMScheduler, {"clip_sample": False}),
        ("ddim", DDIMScheduler, {"clip_sample": False}),
        ("dpmsolver++", DPMSolverMultistepScheduler, {"timestep_spacing": "trailing"}),
        ("unipc", UniPCMultistepScheduler, {"timestep_spacing": "trailing"}),
    ],
)
def test_every_sampler_is_diffusers_own_loop(
    sampler: SamplerName, scheduler_class: Any, options: dict[str, Any], prediction: str
) -> None:
    config = LINEAR | {"prediction_type": prediction}
    scheduler = scheduler_class(**config, **options)
    scheduler.set_timesteps(STEPS)
    inner = [torch.Generator().manual_seed(seed ^ 0x5EED) for seed in SEEDS]
    extra: dict[str, Any] = {"generator": inner} if sampler in {"ddpm", "ddim"} else {}
    x_NCHW = seeded_noise(SEEDS, SHAPE)
    for t in scheduler.timesteps:
        x_NCHW = scheduler.step(network(x_NCHW, int(t)), t, x_NCHW, **extra).prev_sample

    torch.testing.assert_close(drawn(sampler, config), x_NCHW, rtol=0, atol=0)
