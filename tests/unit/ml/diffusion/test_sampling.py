"""Drawing keeps to the noise levels of the model, in [-1, 1] for pixels, and every row to its own seed."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from suti.ml.diffusion.recipe import SamplerName
from suti.ml.diffusion.sampling import draw, new_scheduler, seeded_noise
from suti.ml.diffusion.schedule import NoiseSchedule, ScheduleUnsupported, denoising_loss

LINEAR: dict[str, Any] = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
SAMPLERS: list[SamplerName] = ["ddpm", "ddim", "dpmsolver++", "unipc"]


def test_noise_levels_are_those_of_the_ddpm_paper() -> None:
    schedule = NoiseSchedule.from_config(LINEAR)

    expected_T = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))  # Ho et al. 2020, section 4
    np.testing.assert_allclose(schedule.alpha_bar_T.numpy(), expected_T, rtol=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_target_together_with_the_noisy_picture_gives_the_picture_back(prediction: str) -> None:
    schedule = NoiseSchedule.from_config(LINEAR | {"prediction_type": prediction})
    x0_NCHW, noise_NCHW = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    t_N = torch.tensor([100, 700])

    noisy_NCHW = schedule.add_noise(x0_NCHW, noise_NCHW, t_N)
    target_NCHW = schedule.target(x0_NCHW, noise_NCHW, t_N)

    signal = schedule.alpha_bar_T[t_N].sqrt().view(-1, 1, 1, 1)
    sigma = (1 - schedule.alpha_bar_T[t_N]).sqrt().view(-1, 1, 1, 1)
    back_NCHW = {
        "epsilon": (noisy_NCHW - sigma * target_NCHW) / signal,
        "v_prediction": signal * noisy_NCHW - sigma * target_NCHW,  # Salimans and Ho 2022, appendix D
        "sample": target_NCHW,
    }[prediction]
    torch.testing.assert_close(back_NCHW, x0_NCHW, rtol=1e-4, atol=1e-4)


def test_an_unknown_prediction_is_refused() -> None:
    with pytest.raises(ScheduleUnsupported, match="flow"):
        NoiseSchedule.from_config(LINEAR | {"prediction_type": "flow"})


def test_the_loss_is_a_mean_over_each_picture_alone() -> None:
    loss_N = denoising_loss(
        torch.tensor([[[[1.0, 3.0]]], [[[0.0, 0.0]]]]), torch.tensor([[[[0.0, 0.0]]], [[[2.0, 0.0]]]])
    )

    assert loss_N.tolist() == [5.0, 2.0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_perfect_denoiser_draws_its_picture(sampler: SamplerName) -> None:
    schedule = NoiseSchedule.from_config(LINEAR)
    picture_NCHW = torch.linspace(-0.9, 0.9, 3 * 4 * 4).view(1, 3, 4, 4)

    def exact_noise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        alpha_bar = schedule.alpha_bar_T[timestep]
        return (noisy_NCHW - alpha_bar.sqrt() * picture_NCHW) / (1 - alpha_bar).sqrt()

    drawn_NCHW = draw(
        exact_noise,
        seeds=[1, 2],
        shape_CHW=(3, 4, 4),
        scheduler_config=LINEAR,
        sampler=sampler,
        steps=20,
        pixel_space=True,
    )

    torch.testing.assert_close(drawn_NCHW, picture_NCHW.expand(2, -1, -1, -1), rtol=0, atol=0.02)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_pixel_estimates_are_clipped_whatever_the_sampler(sampler: SamplerName) -> None:
    scheduler = new_scheduler(sampler, LINEAR | {"prediction_type": "sample"}, pixel_space=True)
    scheduler.set_timesteps(4)
    answered_NCHW = torch.tensor([9.0, -9.0, 0.5, 1.0]).view(1, 1, 2, 2)

    assert _estimate(scheduler, answered_NCHW).flatten().tolist() == [1.0, -1.0, 0.5, 1.0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_latents_are_not_clipped(sampler: SamplerName) -> None:
    scheduler = new_scheduler(sampler, LINEAR | {"prediction_type": "sample"}, pixel_space=False)
    scheduler.set_timesteps(4)

    assert _estimate(scheduler, torch.full((1, 4, 2, 2), 9.0)).unique().tolist() == [9.0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_dynamic_thresholding_divides_by_the_percentile(sampler: SamplerName) -> None:
    config = LINEAR | {"prediction_type": "sample"}
    scheduler = new_scheduler(sampler, config, pixel_space=True, dynamic_threshold=0.5)
    scheduler.set_timesteps(4)
    answered_NCHW = torch.tensor([8.0, 4.0, 4.0, -2.0, 1.0]).view(1, 1, 1, 5)  # the median of the sizes is 4

    assert _estimate(scheduler, answered_NCHW).flatten().tolist() == [1.0, 1.0, 1.0, -0.5, 0.25]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_a_row_depends_on_its_own_seed_alone(sampler: SamplerName) -> None:
    def drawn(seeds: list[int]) -> Tensor:
        return draw(
            lambda noisy_NCHW, _timestep: noisy_NCHW * 0.5,
            seeds=seeds,
            shape_CHW=(3, 4, 4),
            scheduler_config=LINEAR,
            sampler=sampler,
            steps=5,
            pixel_space=True,
        )

    assert torch.equal(drawn([7, 8])[1], drawn([1, 8])[1])
    assert not torch.equal(drawn([7, 8])[0], drawn([1, 8])[0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_drawings_that_overlap_share_nothing(sampler: SamplerName) -> None:
    config = dict(LINEAR)

    def drawn(steps: int, within: list[Tensor] | None = None) -> Tensor:
        def look(index: int, _total: int, _sample_NCHW: Tensor) -> None:
            if within is not None:  # another drawing, of other steps, in the middle of this one
                within.append(drawn(steps + 2 + index))

        return draw(
            lambda noisy_NCHW, _timestep: noisy_NCHW * 0.5,
            seeds=[7],
            shape_CHW=(3, 4, 4),
            scheduler_config=config,
            sampler=sampler,
            steps=steps,
            pixel_space=True,
            callback=look,
        )

    inner: list[Tensor] = []

    assert torch.equal(drawn(4, inner), drawn(4))
    assert all(torch.equal(one, drawn(6 + index)) for index, one in enumerate(inner))
    assert config == LINEAR


def test_noise_is_of_unit_size() -> None:
    noise_NCHW = seeded_noise(range(8), (3, 32, 32))

    assert math.isclose(float(noise_NCHW.std()), 1.0, abs_tol=0.02)
    assert abs(float(noise_NCHW.mean())) < 0.02


def _estimate(scheduler: Any, answered_NCHW: Tensor) -> Tensor:
    """The picture that a scheduler goes on with after the network answered with one."""
    noisy_NCHW = torch.zeros_like(answered_NCHW)
    if hasattr(scheduler, "convert_model_output"):  # the solvers
        scheduler._init_step_index(scheduler.timesteps[0])
        return scheduler.convert_model_output(answered_NCHW, sample=noisy_NCHW)
    generator = torch.Generator().manual_seed(0)
    return scheduler.step(answered_NCHW, scheduler.timesteps[0], noisy_NCHW, generator=generator).pred_original_sample
