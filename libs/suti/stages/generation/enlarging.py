"""A chain of super-resolution models for one order, checked before anything is loaded; and pictures given to it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from suti.core.errors import InvalidArgument
from suti.ml.super_resolution.recipe import MAX_SIDE_PX, EnlargingRecipe, SuperResolutionForm
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.order import NoiseLevelOutOfRange
from suti.stages.model_catalogue import UnknownModel
from suti.stages.sent_pictures import decode_sent


class PicturesDiffer(InvalidArgument):
    """Pictures of several sizes in one request."""

    reason: ClassVar[str] = "PICTURES_DIFFER"


@dataclass(frozen=True, kw_only=True)
class Enlargement:
    """One model of a chain and how it enlarges."""

    model: ModelEntry
    form: SuperResolutionForm
    recipe: EnlargingRecipe


@dataclass(frozen=True)
class GivenPicture:
    """A picture that a caller sent, to be enlarged."""

    picture: Image.Image  # RGB
    pixels_sha256: str


def chain_of(
    models: Sequence[ModelEntry], *, width_px: int, height_px: int, noise_level: int | None
) -> tuple[Enlargement, ...]:
    """The chain for pictures of that size.

    Raises:
        UnknownModel: one of them does not enlarge.
        SizeDoesNotFit: one of them does not enlarge pictures of the size that reaches it.
        NoiseLevelOutOfRange: one of them never learnt so much noise.
    """
    chain: list[Enlargement] = []
    for model in models:
        if model.form is None or model.enlarging is None:
            raise UnknownModel("enlarge_with", f"{model.name!r} is of kind {model.kind}: name a super-resolution model")
        model.form.check_size(width_px, height_px, model.name)
        recipe = model.enlarging
        if noise_level is not None:
            recipe = recipe.model_copy(update={"noise_level": noise_level})
        if recipe.noise_level > model.form.max_noise_level:
            raise NoiseLevelOutOfRange(
                "noise_level", f"{recipe.noise_level}: {model.name!r} takes 0 to {model.form.max_noise_level}"
            )
        chain.append(Enlargement(model=model, form=model.form, recipe=recipe))
        width_px, height_px = width_px * model.form.factor, height_px * model.form.factor
    return tuple(chain)


def steps_of(chain: Sequence[Enlargement], pictures: int) -> int:
    """Steps of the sampler that the chain takes for so many pictures; each group of them is counted."""
    return sum(one.recipe.steps * -(-pictures // one.recipe.batch_pictures) for one in chain)


def decode_given(contents: Sequence[bytes]) -> tuple[GivenPicture, ...]:
    """Pictures (PNG, JPEG, WebP, GIF or BMP) as they are to be enlarged, in order.

    Raises:
        SentPictureRefused: one cannot be used; the field names which.
        PicturesDiffer: they are not all of one size.
    """
    decoded = [
        decode_sent(content, field=f"pictures[{index}]", store_side_px=MAX_SIDE_PX)
        for index, content in enumerate(contents)
    ]
    sizes = sorted({(one.width_px, one.height_px) for one in decoded})
    if len(sizes) > 1:
        told = " and ".join(f"{width} x {height}" for width, height in sizes[:2])
        raise PicturesDiffer("pictures", f"there are {told} pixels: send pictures of one size in a request")
    return tuple(GivenPicture(Image.open(io.BytesIO(one.png)).convert("RGB"), one.pixels_sha256) for one in decoded)
