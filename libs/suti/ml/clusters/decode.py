"""A hostile picture from the web as an upright RGB picture of bounded size, or a reason why it is none.

Nothing is decoded before its declared size is known to be allowed. Legend: H height, W width; pixels are uint8 RGB.
"""

import hashlib
import io
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe

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
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        return DecodedPicture(
            png=buffer.getvalue(),
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
    stream = io.BytesIO(source)
    # Each format's own reader instead of Image.open: nothing but these formats, and no guess by file name.
    if source.startswith(b"\xff\xd8\xff"):
        picture: Image.Image = JpegImagePlugin.JpegImageFile(stream)
    elif source.startswith(b"\x89PNG\r\n\x1a\n"):
        picture = PngImagePlugin.PngImageFile(stream)
    elif source.startswith(b"RIFF") and source[8:12] == b"WEBP":
        picture = WebPImagePlugin.WebPImageFile(stream)
    elif source.startswith((b"GIF87a", b"GIF89a")):
        picture = GifImagePlugin.GifImageFile(stream)
    elif source.startswith(b"BM"):
        picture = BmpImagePlugin.BmpImageFile(stream)
    else:
        raise PictureRefused(Drop.PICTURE_NOT_A_PICTURE, source[:16].hex())
    if (declared_px := picture.width * picture.height) > recipe.max_picture_px:
        raise PictureRefused(Drop.PICTURE_BOMB, f"{picture.width} x {picture.height}", score=float(declared_px))
    if (side_px := min(picture.size)) < recipe.min_side_px:
        raise PictureRefused(Drop.PICTURE_TOO_SMALL, f"{picture.width} x {picture.height}", score=float(side_px))
    return picture


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
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the pixels
        return picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A grey picture of 16 or 32 bits, or of floats, with its range of 16 bits (or of itself) made 8."""
    grey_HW = np.asarray(picture).astype(np.float64)
    grey_HW = np.nan_to_num(grey_HW, nan=0.0, posinf=0.0, neginf=0.0)
    top = 65_535.0 if picture.mode.startswith("I") else max(float(grey_HW.max()), 1.0)
    return Image.fromarray(np.clip(grey_HW / top * 255.0, 0.0, 255.0).round().astype(np.uint8))
