"""Drawing: from noise to pictures with diffusers' schedulers, a fresh one for every call so that nothing is shared.

Legend: N pictures, C channels, H height, W width.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor

from suti.ml.diffusion.recipe import SamplerName

# Called after each step with (0-based step, number of steps, current picture estimate in model space).
StepCallback = Callable[[int, int, Tensor], None]


class Denoiser(Protocol):
    """Anything that answers what a network would: (N, C, H, W) noisy pictures and one timestep -> (N, C, H, W)."""

    def __call__(self, noisy_NCHW: Tensor, timestep: int, /) -> Tensor: ...  # noqa: D102  # the class says it


class _Scheduler(Protocol):
    timesteps: Tensor
    init_noise_sigma: float

    def set_timesteps(self, num_inference_steps: int, *, device: torch.device | None = None) -> None: ...
    def scale_model_input(self, sample: Tensor, timestep: Tensor) -> Tensor: ...
    def step(self, model_output: Tensor, timestep: Tensor, sample: Tensor, **extra: Any) -> Any: ...


def new_scheduler(
    name: SamplerName,
    scheduler_config: Mapping[str, Any],
    *,
    pixel_space: bool,
    dynamic_threshold: float | None = None,
) -> _Scheduler:
    """A scheduler of its own for one call, over the same noise levels that the model was trained with.

    Pixel models clip their estimate of x_0 to [-1, 1], or divide it by its own percentile where that is larger
    (Saharia et al. 2022, section 2.3); latents are not bounded.
    """
    # The solvers know no static clip; thresholding with a largest divisor of 1 is the same thing.
    config = dict(scheduler_config) | {
        "clip_sample": pixel_space,
        "clip_sample_range": 1.0,
        "thresholding": pixel_space and (dynamic_threshold is not None or name in {"dpmsolver++", "unipc"}),
        "dynamic_thresholding_ratio": dynamic_threshold or 1.0,
        "sample_max_value": 1.0 if dynamic_threshold is None else math.inf,
    }
    match name:
        case "ddpm":
            scheduler = DDPMScheduler.from_config(config)
        case "ddim":
            scheduler = DDIMScheduler.from_config(config)
        case "dpmsolver++":
            scheduler = DPMSolverMultistepScheduler.from_config(
                config,
                algorithm_type="dpmsolver++",
                solver_order=2,
                final_sigmas_type="zero",
                timestep_spacing="trailing",
            )
        case "unipc":
            scheduler = UniPCMultistepScheduler.from_config(
                config, solver_order=2, final_sigmas_type="zero", timestep_spacing="trailing"
            )
    return cast("_Scheduler", scheduler)


def seeded_noise(
    seeds: Sequence[int], shape_CHW: tuple[int, int, int], *, device: torch.device | None = None
) -> Tensor:
    """Unit noise whose rows depend on their own seed alone. Shapes: N seeds -> (N, C, H, W), float32.

    Drawn on the CPU, so that a picture begins alike on every device.
    """
    rows = [torch.randn(shape_CHW, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(device or torch.device("cpu"))


@torch.inference_mode()
def draw(
    denoise: Denoiser,
    *,
    seeds: Sequence[int],
    shape_CHW: tuple[int, int, int],
    scheduler_config: Mapping[str, Any],
    sampler: SamplerName,
    steps: int,
    pixel_space: bool,
    dynamic_threshold: float | None = None,
    device: torch.device | None = None,
    callback: StepCallback | None = None,
) -> Tensor:
    """Pictures in model space, one for each seed; a row depends on its seed and condition alone.

    Shapes: N seeds -> (N, C, H, W), float32; pixel models in [-1, 1].
    """
    scheduler = new_scheduler(sampler, scheduler_config, pixel_space=pixel_space, dynamic_threshold=dynamic_threshold)
    scheduler.set_timesteps(steps, device=device)
    generators = [torch.Generator().manual_seed(seed ^ 0x5EED) for seed in seeds]  # for the noise within the steps
    extra = {"generator": generators} if sampler in {"ddpm", "ddim"} else {}
    sample_NCHW = seeded_noise(seeds, shape_CHW, device=device) * scheduler.init_noise_sigma
    total = len(scheduler.timesteps)
    for index, timestep in enumerate(scheduler.timesteps):
        answer_NCHW = denoise(scheduler.scale_model_input(sample_NCHW, timestep), int(timestep)).float()
        sample_NCHW = cast("Tensor", scheduler.step(answer_NCHW, timestep, sample_NCHW, **extra).prev_sample)
        if callback is not None:
            callback(index, total, sample_NCHW)
    return sample_NCHW.clamp(-1, 1) if pixel_space else sample_NCHW
