"""The forward process and its losses, worked by hand and against diffusers' own schedulers."""

from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from suti.ml.diffusion.guidance import guide, guide_apart
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss

CONFIGS: dict[str, dict[str, Any]] = {
    "Ho et al. 2020": {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"},
    "Stable Diffusion 1.5": {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
    "DeepFloyd IF": {"beta_schedule": "squaredcos_cap_v2"},
    "betas of its own": {"num_train_timesteps": 4, "trained_betas": [0.1, 0.2, 0.4, 0.8]},
}
HALVES = {"num_train_timesteps": 2, "trained_betas": [0.36, 1 - 0.36 / 0.64]}  # abar = 0.64, then 0.36


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("scheduler_class", [DDPMScheduler, DDIMScheduler])
def test_noisy_pictures_and_velocities_are_diffusers_own(name: str, scheduler_class: Any) -> None:
    config = CONFIGS[name] | {"prediction_type": "v_prediction"}
    reference = scheduler_class(**config)
    schedule = NoiseSchedule.from_config(config)
    generator = torch.Generator().manual_seed(0)
    x0_NCHW, noise_NCHW = (torch.randn(5, 3, 4, 4, generator=generator) for _ in range(2))
    t_N = torch.randint(0, schedule.steps, (5,), generator=generator)

    torch.testing.assert_close(
        schedule.add_noise(x0_NCHW, noise_NCHW, t_N), reference.add_noise(x0_NCHW, noise_NCHW, t_N)
    )
    torch.testing.assert_close(
        schedule.target(x0_NCHW, noise_NCHW, t_N), reference.get_velocity(x0_NCHW, noise_NCHW, t_N)
    )


def test_a_case_worked_by_hand() -> None:
    # sqrt(abar) = 0.8 and 0.6, sqrt(1 - abar) = 0.6 and 0.8.
    x0_NCHW = torch.tensor([1.0, -0.5]).view(2, 1, 1, 1)
    noise_NCHW = torch.tensor([2.0, 1.0]).view(2, 1, 1, 1)
    t_N = torch.tensor([0, 1])
    velocity = NoiseSchedule.from_config(HALVES | {"prediction_type": "v_prediction"})
    noise = NoiseSchedule.from_config(HALVES)

    noisy_NCHW = velocity.add_noise(x0_NCHW, noise_NCHW, t_N)

    torch.testing.assert_close(noisy_NCHW.flatten(), torch.tensor([0.8 + 1.2, -0.3 + 0.8]))
    torch.testing.assert_close(
        velocity.target(x0_NCHW, noise_NCHW, t_N).flatten(), torch.tensor([1.6 - 0.6, 0.6 + 0.4])
    )
    assert torch.equal(noise.target(x0_NCHW, noise_NCHW, t_N), noise_NCHW)


def test_the_losses_of_a_network_that_answers_nothing_worked_by_hand() -> None:
    # An answer of zero costs the mean square of its target: of the noise, or of v = 0.8 noise - 0.6 x0.
    x0_NCHW = torch.tensor([[1.0, 0.0]]).view(1, 1, 1, 2)
    noise_NCHW = torch.tensor([[2.0, 1.0]]).view(1, 1, 1, 2)
    t_N = torch.tensor([0])

    def loss(prediction: str) -> float:
        schedule = NoiseSchedule.from_config(HALVES | {"prediction_type": prediction})
        return float(denoising_loss(torch.zeros(1, 1, 1, 2), schedule.target(x0_NCHW, noise_NCHW, t_N)))

    assert loss("epsilon") == pytest.approx((4 + 1) / 2)
    assert loss("v_prediction") == pytest.approx((1.0**2 + 0.8**2) / 2)


def test_guidance_worked_by_hand() -> None:
    free, text, full = (torch.full((1, 1, 1, 1), value) for value in (1.0, 2.0, 4.0))

    assert guide(free, full, 15.0).item() == 1 + 15 * (4 - 1)
    assert guide_apart(free, text, full, text_weight=15.0, subject_weight=3.0).item() == 1 + 15 * 1 + 3 * 2
