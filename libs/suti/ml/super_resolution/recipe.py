"""How pictures are enlarged, and which sizes a model takes. No torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.model_files import ModelInvalid

MAX_SIDE_PX = 2048  # of an enlarged picture
NOISE_LEVELS = 1000
_PIXEL_SCHEDULER, _LATENT_SCHEDULER = "image_noising_scheduler", "low_res_scheduler"
_BEYOND = 4  # a network that looks at its surroundings takes pictures so many times as wide as those it learnt from

# A file of a model's folder as a mapping, None where there is none.
ReadJson = Callable[[str], Mapping[str, Any] | None]


class SizeDoesNotFit(InvalidArgument):
    """A super-resolution model was handed pictures that it cannot enlarge."""

    reason: ClassVar[str] = "SIZE_DOES_NOT_FIT"


class EnlargingRecipe(SamplingRecipe):
    """One way to enlarge. The noise makes the model doubt what it is given (Ho et al. 2022, section 4.2)."""

    guidance: float = Field(default=4.0, ge=0, description="Weight of the text; 1 is no guidance.")
    noise_level: int = Field(
        default=20,
        ge=0,
        lt=NOISE_LEVELS,
        description="Noise that the low-resolution picture is given: 0 is the least its schedule has, not none.",
    )
    batch_pictures: int = Field(default=4, ge=1)


# As diffusers draws with DeepFloyd's second stage and with Stable Diffusion's upscaler, in fewer steps.
PIXEL_RECIPE = EnlargingRecipe(sampler="dpmsolver++", steps=30, guidance=4.0, noise_level=250)
LATENT_RECIPE = EnlargingRecipe(sampler="dpmsolver++", steps=30, guidance=9.0, noise_level=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperResolutionForm:
    """What a super-resolution model's folder says of itself."""

    latent: bool  # behind a VAE (Stable Diffusion's upscaler), or in pixels (DeepFloyd's second stage)
    factor: int  # times as wide and high
    size_px: int  # height and width of the pictures that it learnt to draw
    max_noise_level: int
    align_corners: bool = False  # how a small picture is brought to full size: DeepFloyd's way is True
    residual: bool = False  # it draws what is to be added to that (Li et al. 2022, SRDiff), not the whole picture

    @property
    def low_px(self) -> int:
        """Height and width of the pictures that it learnt to enlarge."""
        return self.size_px // self.factor

    @property
    def recipe(self) -> EnlargingRecipe:
        """How to enlarge where `sampling.json` says nothing."""
        return LATENT_RECIPE if self.latent else PIXEL_RECIPE

    def check_size(self, width_px: int, height_px: int, name: str) -> None:
        """Raises SizeDoesNotFit unless pictures of that size can be enlarged."""
        most = min(self.low_px * _BEYOND, MAX_SIDE_PX // self.factor)
        if min(width_px, height_px) < self.low_px or max(width_px, height_px) > most:
            raise SizeDoesNotFit(
                "enlarge_with",
                f"{name!r} enlarges pictures of {self.low_px} to {most} pixels a side, not of "
                f"{width_px} x {height_px}: name another model, or another order of models",
            )


def super_resolution_form(read: ReadJson) -> SuperResolutionForm | None:
    """What a folder's configurations say; None for a folder that holds no super-resolution model.

    `suti.json` may state `factor`, `align_corners` and `residual` of a pixel model; where it does not they are 4, true
    and false, as DeepFloyd's.

    Raises:
        ModelInvalid: they contradict one another.
    """
    latent = read(f"{_LATENT_SCHEDULER}/scheduler_config.json") is not None
    if not latent and read(f"{_PIXEL_SCHEDULER}/scheduler_config.json") is None:
        return None
    unet, vae, card = read("unet/config.json") or {}, read("vae/config.json"), read("suti.json") or {}
    size = unet.get("sample_size")
    if not isinstance(size, int):
        raise ModelInvalid(f"unet/config.json: sample_size is {size!r}: state one height and width there")
    if latent and vae is None:
        raise ModelInvalid(f"there is a {_LATENT_SCHEDULER} but no vae/config.json: copy the whole diffusers folder")
    if latent and vae is not None:
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        most = int((read("model_index.json") or {}).get("max_noise_level", 350))
        return SuperResolutionForm(latent=True, factor=factor, size_px=size * factor, max_noise_level=most)
    factor = card.get("factor", 4)
    if not isinstance(factor, int) or factor < 2 or size % factor:
        raise ModelInvalid(f"suti.json: factor is {factor!r}: state a whole number that divides {size}, from 2")
    return SuperResolutionForm(
        latent=False,
        factor=factor,
        size_px=size,
        max_noise_level=NOISE_LEVELS - 1,
        align_corners=bool(card.get("align_corners", True)),
        residual=bool(card.get("residual", False)),
    )


def noising_scheduler(form: SuperResolutionForm) -> str:
    """The part that says how low-resolution pictures are noised."""
    return _LATENT_SCHEDULER if form.latent else _PIXEL_SCHEDULER
