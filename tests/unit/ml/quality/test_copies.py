import io

import numpy as np
import pytest
from PIL import Image

from suti.ml.quality.copies import copy_difference, low_resolution, shows_nothing
from suti.ml.quality.recipe import FilterRecipe


def _scene(seed: int, size: int = 64) -> Image.Image:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC)


def test_a_picture_sent_through_jpeg_and_resizing_is_still_a_copy() -> None:
    original = _scene(0)
    buffer = io.BytesIO()
    original.resize((48, 48)).save(buffer, format="JPEG", quality=70)
    copy = Image.open(buffer)

    difference = copy_difference(low_resolution(copy), np.stack([low_resolution(original)]))

    assert difference < FilterRecipe().min_copy_difference


def test_another_picture_is_no_copy() -> None:
    difference = copy_difference(low_resolution(_scene(1)), np.stack([low_resolution(_scene(0))]))

    assert difference > 10 * FilterRecipe().min_copy_difference


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_kind_of_picture_becomes_three_channels_of_sixteen_pixels(mode: str) -> None:
    assert low_resolution(Image.new(mode, (5, 40))).shape == (16, 16, 3)


@pytest.mark.parametrize(("spread", "nothing"), [(0, True), (3, True), (4, False), (200, False)])
def test_a_flat_picture_shows_nothing(spread: int, *, nothing: bool) -> None:
    pixels = np.full((8, 8, 3), 20, dtype=np.uint8)
    pixels[3, 3, 1] += np.uint8(spread)

    assert shows_nothing(Image.fromarray(pixels)) is nothing
