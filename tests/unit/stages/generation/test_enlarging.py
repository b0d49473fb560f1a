"""Chains of super-resolution models: what fits, what does not, and how many steps they take."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from suti.core.errors import InvalidArgument
from suti.ml.super_resolution.recipe import EnlargingRecipe, SizeDoesNotFit, SuperResolutionForm
from suti.stages.generation.enlarging import PicturesDiffer, chain_of, decode_given, steps_of
from suti.stages.generation.entries import ModelEntry, ModelKind
from suti.stages.generation.order import DrawOrder, NoiseLevelOutOfRange
from suti.stages.model_catalogue import UnknownModel

# As large as the real ones: DeepFloyd's second stage, then Stable Diffusion's upscaler.
SECOND_STAGE = ModelEntry(
    name="if-2",
    kind=ModelKind.SUPER_RESOLUTION,
    sha256="2" * 64,
    size_px=256,
    form=SuperResolutionForm(latent=False, factor=4, size_px=256, max_noise_level=999),
    enlarging=EnlargingRecipe(steps=10, noise_level=250, batch_pictures=2),
)
UPSCALER = replace(
    SECOND_STAGE,
    name="sd-x4",
    form=SuperResolutionForm(latent=True, factor=4, size_px=512, max_noise_level=350),
    enlarging=EnlargingRecipe(steps=7, noise_level=20, batch_pictures=4),
)
BASE = ModelEntry(name="base", kind=ModelKind.BASE, sha256="1" * 64, size_px=64)


def test_a_chain_is_checked_with_the_size_that_reaches_each_model() -> None:
    chain = chain_of([SECOND_STAGE, UPSCALER], width_px=64, height_px=64, noise_level=None)

    assert [one.model.name for one in chain] == ["if-2", "sd-x4"]  # 64, 256, 1024
    assert [one.recipe.noise_level for one in chain] == [250, 20]
    assert steps_of(chain, 5) == 3 * 10 + 2 * 7
    assert chain_of([], width_px=64, height_px=64, noise_level=None) == ()


@pytest.mark.parametrize(
    ("models", "width_px", "height_px"),
    [
        ([UPSCALER], 64, 64),  # it learnt from 128
        ([UPSCALER, SECOND_STAGE], 128, 128),  # 512 is too much for the second stage
        ([SECOND_STAGE], 64, 300),
        ([UPSCALER, UPSCALER], 512, 512),  # 2048 is the most that is ever drawn
    ],
)
def test_a_size_that_a_model_does_not_take_is_refused(models: list[ModelEntry], width_px: int, height_px: int) -> None:
    with pytest.raises(SizeDoesNotFit) as error:
        chain_of(models, width_px=width_px, height_px=height_px, noise_level=None)

    assert error.value.field == "enlarge_with"


def test_noise_that_a_model_never_learnt_is_refused() -> None:
    assert chain_of([UPSCALER], width_px=128, height_px=128, noise_level=350)[0].recipe.noise_level == 350
    with pytest.raises(NoiseLevelOutOfRange):
        chain_of([SECOND_STAGE, UPSCALER], width_px=64, height_px=64, noise_level=351)


def test_a_model_that_draws_does_not_enlarge() -> None:
    with pytest.raises(UnknownModel, match="of kind base"):
        chain_of([BASE], width_px=64, height_px=64, noise_level=None)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 20, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def test_given_pictures_keep_their_size_even_where_demonstrations_would_be_shrunk() -> None:
    (given,) = decode_given([png(600, 900)])

    assert given.picture.size == (600, 900)
    with pytest.raises(PicturesDiffer, match="8 x 9 and 9 x 8"):
        decode_given([png(9, 8), png(8, 9), png(9, 8)])


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (DrawOrder(prompt="a", enlarge_with=("x",) * 4), "enlarge_with"),
        (DrawOrder(prompt="a", enlarge_with=("x",), noise_level=-1), "noise_level"),
        (DrawOrder(prompt="a", noise_level=1), "noise_level"),
        (DrawOrder(prompt="a", given=1), "pictures"),
        (DrawOrder(prompt="a", given=1, enlarge_with=("x",), guidance=0.0), "guidance"),
        (DrawOrder(prompt="a", given=1, enlarge_with=("x",), model="base"), "model"),
        (DrawOrder(prompt="a", given=2, enlarge_with=("x",)), "count"),
        (DrawOrder(prompt="", enlarge_with=("x",)), "prompt"),
    ],
)
def test_an_order_that_contradicts_itself_is_refused_by_field(order: DrawOrder, field: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        order.check()

    assert error.value.field == field


def test_pictures_need_no_prompt() -> None:
    DrawOrder(prompt="", count=2, given=2, enlarge_with=("x", "x", "x"), noise_level=999).check()
