import contextlib
import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from suti.ml.clusters.decode import DecodedPicture, PictureRefused, decode, perceptual_hash
from suti.ml.clusters.recipe import GroupingRecipe
from tests.unit.ml.clusters.crawls import declared_png, encoded, pattern, png

RECIPE = GroupingRecipe(store_side_px=64)


def _pixels(source: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(decode(source, RECIPE).png)))


def _reason(source: bytes, recipe: GroupingRecipe = RECIPE) -> str:
    with pytest.raises(PictureRefused) as refused:
        decode(source, recipe)
    return refused.value.reason


def test_a_plain_picture_keeps_its_pixels() -> None:
    picture = decode(png(1), RECIPE)

    assert (picture.width_px, picture.height_px) == (32, 32)
    assert np.array_equal(_pixels(png(1)), np.asarray(pattern(1)))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "PICTURE_EMPTY"),
        (b"this is a text, whatever its name says", "PICTURE_NOT_A_PICTURE"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PICTURE_NOT_A_PICTURE"),
        (b"\xff\xd8\xff", "PICTURE_UNREADABLE"),
        (png(1)[:200], "PICTURE_UNREADABLE"),
        (encoded(pattern(1), "JPEG")[:-300], "PICTURE_UNREADABLE"),
        (b"GIF89a", "PICTURE_UNREADABLE"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "PICTURE_UNREADABLE"),
        (png(1, side=8), "PICTURE_TOO_SMALL"),
        (declared_png(50_000, 50_000), "PICTURE_BOMB"),
        (declared_png(8_000, 8_000), "PICTURE_BOMB"),
        (b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\xff" * 2, "PICTURE_BOMB"),
    ],
)
def test_bytes_that_are_no_usable_picture_have_their_reason(source: bytes, reason: str) -> None:
    assert _reason(source) == reason


def test_too_many_bytes_are_refused_unread() -> None:
    assert _reason(png(1), GroupingRecipe(max_picture_bytes=100)) == "PICTURE_TOO_LARGE"


def test_random_damage_is_refused_or_read_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        sound = np.frombuffer(encoded(pattern(3), form), dtype=np.uint8)
        for _ in range(10):
            damaged = sound.copy()
            damaged[rng.integers(12, len(sound), 20)] = rng.integers(0, 256, 20)
            with contextlib.suppress(PictureRefused):
                assert isinstance(decode(damaged.tobytes(), RECIPE), DecodedPicture)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(form: str) -> None:
    still = Image.new("RGB", (20, 20), (255, 0, 0))
    moving = encoded(still, form, save_all=True, append_images=[Image.new("RGB", (20, 20), (0, 0, 255))], lossless=True)

    assert np.abs(_pixels(moving).astype(int) - [255, 0, 0]).max() <= 1


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (20, 20), (255, 0, 0, 0))  # pure cyan

    assert np.abs(_pixels(encoded(cmyk, "JPEG", quality=100)).astype(int) - [0, 255, 255]).max() <= 3


def test_sixteen_bits_keep_their_brightness() -> None:
    grey = Image.fromarray(np.full((20, 20), 32_896, dtype=np.uint16))  # 128 * 257

    assert (_pixels(encoded(grey)) == 128).all()


def test_a_palette_and_one_bit_become_rgb() -> None:
    palette = Image.new("RGB", (20, 20), (0, 200, 0)).quantize(4)

    assert (_pixels(encoded(palette)) == [0, 200, 0]).all()
    assert (_pixels(encoded(Image.new("1", (20, 20), 1))) == 255).all()


def test_transparent_pixels_are_white() -> None:
    half = Image.new("RGBA", (20, 20), (255, 0, 0, 0))

    assert (_pixels(encoded(half)) == 255).all()
    assert (_pixels(encoded(half, "WEBP", lossless=True)) == 255).all()


def test_a_picture_is_turned_upright() -> None:
    lying = Image.new("RGB", (40, 20), (0, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees clockwise to see it upright"

    assert _pixels(encoded(lying, "JPEG", exif=exif)).shape == (40, 20, 3)


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 50}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
def test_a_webp_beyond_the_limit_is_known_before_it_is_opened(options: dict[str, object]) -> None:
    source = encoded(pattern(1, side=80), "WEBP", **options)

    assert _reason(source, GroupingRecipe(max_picture_px=80 * 80 - 1)) == "PICTURE_BOMB"
    assert decode(source, GroupingRecipe(max_picture_px=80 * 80)).width_px == 80


def test_broken_exif_harms_nothing() -> None:
    source = encoded(pattern(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")

    assert _pixels(source).shape == (32, 32, 3)


def test_a_large_picture_is_shrunk_with_its_proportions() -> None:
    picture = decode(encoded(pattern(1, side=400).resize((400, 200))), RECIPE)

    assert (picture.width_px, picture.height_px) == (64, 32)


def test_nothing_of_the_sources_metadata_is_stored() -> None:
    exif = Image.Exif()
    exif[0x013B] = "SECRET ARTIST"

    assert b"SECRET" not in decode(encoded(pattern(1), "JPEG", exif=exif), RECIPE).png


def test_the_perceptual_hash_is_imagehashs() -> None:
    assert f"{perceptual_hash(pattern(5)):016x}" == str(imagehash.phash(pattern(5)))


def test_the_hash_survives_another_encoding_and_tells_pictures_apart() -> None:
    one, again, other = (
        decode(source, RECIPE).phash
        for source in (png(1, side=64), encoded(pattern(1, side=64), "JPEG", quality=80), png(2, side=64))
    )

    assert (one ^ again).bit_count() <= 4
    assert (one ^ other).bit_count() > 12
