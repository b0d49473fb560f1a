"""Super-resolution models from diffusers folders: DeepFloyd IF's second stage, Stable Diffusion's upscaler, the toy's.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from suti.ml.diffusion.base import drop_variance, fixed_variance, load_text
from suti.ml.diffusion.parts import load_part, read_json, require_folder
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.diffusion.text import TextEncoder
from suti.ml.model_files import ModelInvalid, folder_digest
from suti.ml.super_resolution.recipe import SuperResolutionForm, noising_scheduler, super_resolution_form

_PICTURE_CHANNELS = 3


@dataclass(frozen=True)
class SuperResolutionModel:
    """A model that enlarges pictures by their text, ready to draw. Suti never trains it."""

    unet: UNet2DConditionModel
    text: TextEncoder
    scheduler_config: dict[str, Any]
    noising: NoiseSchedule  # of the low-resolution picture
    vae: AutoencoderKL | None  # None: the UNet works on pixels in [-1, 1]
    form: SuperResolutionForm
    digest: str  # SHA-256 over the folder that it was loaded from

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.unet.parameters()).device

    @property
    def channels(self) -> int:
        """Of what the UNet draws: pixels or latents."""
        return int(cast("Any", self.unet.config).out_channels)


def load_super_resolution(
    folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> SuperResolutionModel:
    """Load a model from a folder as `StableDiffusionUpscalePipeline` and `IFSuperResolutionPipeline` save them.

    Weights are read from safetensors alone. A UNet that also predicts its variance (DeepFloyd) is loaded without that
    half; Suti draws with the schedule's own variance.

    Raises:
        ModelMissing: there is no such folder.
        ModelUnsafe: a part's weights are pickles alone.
        ModelInvalid: a file or tensor is missing, of the wrong shape or not a number; or the model enlarges nothing.
    """
    require_folder(folder)
    form = super_resolution_form(lambda name: read_if_there(folder / name))
    if form is None:
        raise ModelInvalid(f"{folder}: no image_noising_scheduler and no low_res_scheduler: this enlarges nothing")
    unet = cast("UNet2DConditionModel", load_part(folder / "unet", UNet2DConditionModel))
    vae = cast("AutoencoderKL", load_part(folder / "vae", AutoencoderKL)) if form.latent else None
    _check_channels(folder, unet, vae)
    noising = NoiseSchedule.from_config(read_json(folder / noising_scheduler(form) / "scheduler_config.json"))
    text = load_text(folder, size_px=form.size_px)
    for module in (unet, text, vae):
        if module is not None:
            nn.Module.to(module, device=device, dtype=dtype).eval().requires_grad_(False)
    return SuperResolutionModel(
        unet=unet,
        text=text,
        scheduler_config=fixed_variance(read_json(folder / "scheduler" / "scheduler_config.json")),
        noising=noising,
        vae=vae,
        form=form,
        digest=folder_digest(folder),
    )


def _check_channels(folder: Path, unet: UNet2DConditionModel, vae: AutoencoderKL | None) -> None:
    """The UNet takes a noisy picture beside a low-resolution one, and the level of the latter's noise."""
    config = cast("Any", unet.config)
    drawn = _PICTURE_CHANNELS if vae is None else int(cast("Any", vae.config).latent_channels)
    if int(config.in_channels) != drawn + _PICTURE_CHANNELS:
        raise ModelInvalid(
            f"{folder / 'unet'} takes {config.in_channels} channels: a super-resolution model takes "
            f"{drawn + _PICTURE_CHANNELS}, {drawn} of what it draws and {_PICTURE_CHANNELS} of the small picture"
        )
    if unet.class_embedding is None:
        raise ModelInvalid(f"{folder / 'unet'} is told no noise level (class embedding): use a model that is")
    drop_variance(folder, unet, drawn=drawn)


def read_if_there(path: Path) -> Mapping[str, Any] | None:
    """A model folder's JSON file, None where there is none. Raises ModelInvalid."""
    return read_json(path) if path.is_file() else None
