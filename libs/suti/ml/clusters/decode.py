"""A hostile picture from the web as an upright RGB picture of bounded size, or a reason why it is none.

Nothing is decoded before its declared size is known to be allowed. Legend: H height, W width; pixels are uint8 RGB.
"""

import hashlib
import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import imagehash
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.png import png_of

_WARNINGS = Lock()
_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture as Suti stores it."""

    png: bytes
    width_px: int
    height_px: int
    pixels_sha256: str  # over the raw RGB bytes, rows from the top
    phash: int  # 64 bits; see `perceptual_hash`


class PictureRefused(ValueError):
    """Bytes that are no usable picture. Never leaves this package."""

    def __init__(self, reason: Drop, detail: str = "", *, score: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.score = score


def decode(source: bytes, recipe: GroupingRecipe) -> DecodedPicture:
    """The picture: first frame, turned upright, alpha over white, 8-bit RGB, shrunk to the recipe's `store_side_px`.

    Formats are JPEG, PNG, WebP, GIF and BMP, known by their content. Colour profiles are ignored. The same bytes give
    the same pixels with the same Pillow.

    Raises:
        PictureRefused: and nothing else, whatever the bytes are.
    """
    if not source:
        raise PictureRefused(Drop.PICTURE_EMPTY)
    if len(source) > recipe.max_picture_bytes:
        raise PictureRefused(Drop.PICTURE_TOO_LARGE, score=float(len(source)))
    try:
        picture = _rgb(_open(source, recipe), recipe.store_side_px)
        return DecodedPicture(
            png=png_of(picture),
            width_px=picture.width,
            height_px=picture.height,
            pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
            phash=perceptual_hash(picture),
        )
    except PictureRefused:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PictureRefused(Drop.PICTURE_BOMB, str(error)[:300]) from error
    except Exception as error:  # hostile bytes make decoders raise anything
        raise PictureRefused(Drop.PICTURE_UNREADABLE, f"{type(error).__name__}: {error}"[:300]) from error


def perceptual_hash(picture: Image.Image) -> int:
    """64 bits of which pictures that look alike share most (imagehash's phash: signs of the lowest DCT terms)."""
    bits = np.asarray(imagehash.phash(picture).hash, dtype=bool).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _open(source: bytes, recipe: GroupingRecipe) -> Image.Image:
    _check_size(*_webp_size(source), recipe)  # its reader makes room for the whole canvas at once
    with _no_warnings():  # of broken EXIF and the like
        picture = _read_header(source)
    _check_size(picture.width, picture.height, recipe)
    if (side_px := min(picture.size)) < recipe.min_side_px:
        raise PictureRefused(Drop.PICTURE_TOO_SMALL, f"{picture.width} x {picture.height}", score=float(side_px))
    return picture


def _check_size(width: int, height: int, recipe: GroupingRecipe) -> None:
    if width * height > recipe.max_picture_px:
        raise PictureRefused(Drop.PICTURE_BOMB, f"{width} x {height}", score=float(width * height))


def _webp_size(source: bytes) -> tuple[int, int]:
    """The declared width and height of a WebP, (0, 0) of anything else (RFC 9649, sections 2.5 to 2.7)."""
    if source[:4] != b"RIFF" or source[8:12] != b"WEBP" or len(source) < 30:
        return 0, 0
    match source[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(source[24:27], "little"), 1 + int.from_bytes(source[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(source[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return int.from_bytes(source[26:28], "little") & 0x3FFF, int.from_bytes(source[28:30], "little") & 0x3FFF
        case _:
            return 0, 0


def _read_header(source: bytes) -> Image.Image:
    """Each format's own reader instead of Image.open: nothing but these formats, and no guess by file name."""
    stream = io.BytesIO(source)
    if source.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile(stream)
    if source.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile(stream)
    if source.startswith(b"RIFF") and source[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile(stream)
    if source.startswith((b"GIF87a", b"GIF89a")):
        return GifImagePlugin.GifImageFile(stream)
    if source.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile(stream)
    raise PictureRefused(Drop.PICTURE_NOT_A_PICTURE, f"begins with {source[:16]!r}")


def _rgb(picture: Image.Image, side_px: int) -> Image.Image:
    if picture.format == "JPEG":
        picture.draft("RGB", (2 * side_px, 2 * side_px))  # decodes a large one at a fraction of the work
    picture.load()
    upright = _upright(picture)
    if upright.mode.startswith(("I", "F")):
        upright = _eight_bits(upright)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    rgb = upright.convert("RGB")
    if max(rgb.size) > side_px:
        scale = side_px / max(rgb.size)
        width, height = (max(round(side * scale), 1) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    # New bytes alone: nothing of the source's metadata goes on.
    return Image.frombytes("RGB", rgb.size, rgb.tobytes())


def _upright(picture: Image.Image) -> Image.Image:
    try:
        with _no_warnings():
            return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the pixels
        return picture


@contextmanager
def _no_warnings() -> Generator[None]:
    """Without Pillow's warnings: a warning would be noise in a log, and with -W error another result."""
    with _WARNINGS, warnings.catch_warnings():  # the filters are the process's: one thread at a time
        warnings.simplefilter("ignore")
        yield


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 or 32 bits, or of floats, with its range of 16 bits (or of itself) made 8."""
    grey_HW = np.asarray(picture).astype(np.float64)
    grey_HW = np.nan_to_num(grey_HW, nan=0.0, posinf=0.0, neginf=0.0)
    top = 65_535.0 if picture.mode.startswith("I") else max(float(grey_HW.max()), 1.0)
    return Image.fromarray(np.clip(grey_HW / top * 255.0, 0.0, 255.0).round().astype(np.uint8))
