"""Enlarging pictures: diffusion that is given the small picture, noised, beside each step's own (Ho et al. 2022).

Legend: N pictures, C channels, H height, W width in pixels; c, h, w the same as the UNet sees them.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from suti.core.seeds import derive_seed
from suti.ml.diffusion.guidance import guide
from suti.ml.diffusion.latents import decode
from suti.ml.diffusion.sampling import draw, seeded_noise
from suti.ml.super_resolution.files import SuperResolutionModel
from suti.ml.super_resolution.recipe import EnlargingRecipe

# Called after each step of each group of pictures; what it raises ends the enlarging.
OnStep = Callable[[], None]


def enlarging_seeds(seeds: Sequence[int], width_px: int, height_px: int) -> list[int]:
    """The seeds with which pictures of that size are enlarged, by the seeds that the pictures were drawn with.

    By size, not by place in the cascade: enlarging a picture that was drawn before equals doing both at once.
    """
    return [derive_seed(seed, "super-resolution", width_px, height_px) for seed in seeds]


@torch.inference_mode()
def enlarge(
    model: SuperResolutionModel,
    pictures_NCHW: Tensor,
    *,
    prompts: Sequence[str],
    seeds: Sequence[int],
    recipe: EnlargingRecipe,
    avoid: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> Tensor:
    """Each picture `factor` times as wide and high; a row depends on its own picture, text and seed alone.

    Shapes: (N, 3, H, W) in [-1, 1], N prompts, N seeds -> (N, 3, factor H, factor W) in [-1, 1], float32.

    Raises:
        SizeDoesNotFit: the model does not enlarge pictures of that size.
    """
    model.form.check_size(pictures_NCHW.shape[-1], pictures_NCHW.shape[-2], "the model")
    avoid = avoid or [""] * len(prompts)
    groups = [slice(start, start + recipe.batch_pictures) for start in range(0, len(prompts), recipe.batch_pictures)]
    return torch.cat(
        [
            _enlarge(model, pictures_NCHW[some], prompts[some], seeds[some], recipe, avoid[some], on_step)
            for some in groups
        ]
    )


def _enlarge(  # noqa: PLR0917 - private, one caller
    model: SuperResolutionModel,
    pictures_NCHW: Tensor,
    prompts: Sequence[str],
    seeds: Sequence[int],
    recipe: EnlargingRecipe,
    avoid: Sequence[str],
    on_step: OnStep | None,
) -> Tensor:
    count, dtype = len(prompts), model.unet.dtype
    given_NCHW = condition(model, pictures_NCHW.to(model.device), seeds, noise_level=recipe.noise_level)
    guided = recipe.guidance != 1.0
    texts = model.text.encode([*avoid, *prompts] if guided else prompts)
    branches = 2 if guided else 1
    rows_NCHW = given_NCHW.to(dtype).repeat(branches, 1, 1, 1)
    level_N = torch.full((branches * count,), recipe.noise_level, dtype=torch.long, device=model.device)

    def denoise(noisy_NCHW: Tensor, timestep: int, /) -> Tensor:
        both_NCHW = torch.cat([noisy_NCHW.to(dtype).repeat(branches, 1, 1, 1), rows_NCHW], dim=1)
        answer = model.unet(
            both_NCHW,
            timestep,
            encoder_hidden_states=texts.hidden_NLD,
            class_labels=level_N,
            added_cond_kwargs=texts.added,
            return_dict=False,
        )
        answer_NCHW = answer[0].float()
        if not guided:
            return answer_NCHW
        free_NCHW, full_NCHW = answer_NCHW.chunk(2)
        return guide(free_NCHW, full_NCHW, recipe.guidance)

    drawn_NCHW = draw(
        denoise,
        seeds=seeds,
        shape_CHW=(model.channels, given_NCHW.shape[-2], given_NCHW.shape[-1]),
        scheduler_config=model.scheduler_config,
        sampler=recipe.sampler,
        steps=recipe.steps,
        pixel_space=model.vae is None,
        dynamic_threshold=recipe.dynamic_threshold,
        device=model.device,
        callback=None if on_step is None else lambda _index, _total, _sample: on_step(),
    )
    if model.vae is not None:
        return decode(model.vae, drawn_NCHW)
    if model.form.residual:
        drawn_NCHW = drawn_NCHW + at_full_size(model, pictures_NCHW.to(model.device))
    return drawn_NCHW.float().clamp(-1, 1)


def condition(model: SuperResolutionModel, pictures_NCHW: Tensor, seeds: Sequence[int], *, noise_level: int) -> Tensor:
    """Small pictures as the UNet is given them: at the size that it works at, with noise of that level.

    Shapes: (N, 3, H, W) in [-1, 1] -> (N, 3, h, w).
    """
    if model.vae is None:
        pictures_NCHW = at_full_size(model, pictures_NCHW)
    shape_CHW = (pictures_NCHW.shape[1], pictures_NCHW.shape[2], pictures_NCHW.shape[3])
    noise_NCHW = seeded_noise(noising_seeds(seeds), shape_CHW, device=model.device)
    level_N = torch.full((len(seeds),), noise_level, dtype=torch.long, device=model.device)
    return model.noising.add_noise(pictures_NCHW.float(), noise_NCHW, level_N)


def at_full_size(model: SuperResolutionModel, pictures_NCHW: Tensor) -> Tensor:
    """Small pictures as large as what a pixel model draws. Shapes: (N, 3, H, W) -> (N, 3, factor H, factor W)."""
    form = model.form
    return F.interpolate(pictures_NCHW, scale_factor=form.factor, mode="bilinear", align_corners=form.align_corners)


def noising_seeds(seeds: Sequence[int]) -> list[int]:
    """Seeds of the small pictures' noise, which must not be the noise that the large ones begin as."""
    return [derive_seed(seed, "noising") for seed in seeds]
