"""Where the subject is on a picture, as far as somebody says so, and pictures without anything else.

Masks come from, in this order: a file beside the picture (`03.png` or `03.jpg` has `03.mask.png`: white is the subject,
black is not), the picture's own alpha channel, or a segmenter.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from suti.core.errors import PermanentError

MASK_SUFFIX: Final = ".mask.png"
_OPAQUE = 255
_MIDDLE = 128  # from here on a pixel is the subject's

type Segmenter = Callable[[Image.Image, str], Image.Image]
"""A picture and the subject's class word to a mask of the picture's size, mode L."""


class MaskMissing(PermanentError):
    """A protocol removes backgrounds, and nobody says what is background on this picture."""

    reason: ClassVar[str] = "MASK_MISSING"


class MaskEmpty(PermanentError):
    """A mask says that the subject is nowhere on its picture."""

    reason: ClassVar[str] = "MASK_EMPTY"


class MaskUnfit(PermanentError):
    """A mask's file is no picture, or has another shape than the picture that it is for."""

    reason: ClassVar[str] = "MASK_UNFIT"


def mask_of(
    picture: Image.Image, *, file: Path | None = None, segmenter: Segmenter | None = None, class_word: str = ""
) -> Image.Image:
    """Where the subject is: mode L, the picture's size, 255 for the subject and 0 for everything else.

    Args:
        picture: as it was opened, with its alpha channel if it has one.
        file: where the picture lies; its mask stands beside it.
        segmenter: asked where there is neither file nor alpha channel.
        class_word: what the segmenter is to look for.

    Raises:
        MaskMissing, MaskEmpty, MaskUnfit: the reason of a row without score.
    """
    beside = None if file is None else file.with_name(f"{file.stem}{MASK_SUFFIX}")
    alpha = picture.getchannel("A") if "A" in picture.getbands() else None
    if beside is not None and beside.is_file():
        mask = _read(beside)
        if mask.width * picture.height != mask.height * picture.width:
            raise MaskUnfit(f"{beside} is {mask.size}, its picture {picture.size}: give both one shape")
        mask = mask.resize(picture.size, Image.Resampling.NEAREST)
    elif alpha is not None and np.asarray(alpha).min() < _OPAQUE:
        mask = alpha
    elif segmenter is not None:
        mask = segmenter(picture.convert("RGB"), class_word)
    else:
        remedy = "" if beside is None else f"put {beside.name} beside it, give it an alpha channel, or "
        raise MaskMissing(f"no mask for {file or 'a picture'}: {remedy}name a segmentation model")
    sharp = mask.point([0] * _MIDDLE + [_OPAQUE] * (256 - _MIDDLE))
    if sharp.getextrema() == (0, 0):
        raise MaskEmpty(f"the mask of {file or 'a picture'} has no subject: correct it, or leave the picture out")
    return sharp


def without_background(picture: Image.Image, mask: Image.Image, mean: Sequence[float]) -> Image.Image:
    """The subject on the colour that an encoder's preprocessing turns into 0, so that the background says nothing."""
    colour = tuple(round(255 * value) for value in mean)
    return Image.composite(picture.convert("RGB"), Image.new("RGB", picture.size, colour), mask)


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as mask:
            return mask.convert("L")
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise MaskUnfit(f"{path} cannot be read ({error}): save it as a black and white PNG") from error
