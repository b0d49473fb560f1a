"""From pictures to what an encoder reads, by PIL alone: equal to torchvision's transforms to the last bit.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from suti.ml.evaluation.protocols import Preprocessing

_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def prepared(pictures: Sequence[Image.Image], recipe: Preprocessing, *, side_px: int) -> Tensor:
    """Pictures of any size, resized, cropped in the middle and normalised.

    Shapes: N pictures -> (N, C, side_px, side_px) float32; 0 is the recipe's mean colour.
    """
    rows = [_pixels(cropped(picture.convert("RGB"), recipe, side_px=side_px)) for picture in pictures]
    if not rows:
        return torch.empty(0, 3, side_px, side_px)
    mean_C11, std_C11 = (torch.tensor(row)[:, None, None] for row in (recipe.mean, recipe.std))
    return (torch.stack(rows) - mean_C11) / std_C11


def cropped(picture: Image.Image, recipe: Preprocessing, *, side_px: int) -> Image.Image:
    """The picture as the encoder sees it, still in colours; masks go the same way."""
    interpolation = _INTERPOLATIONS[recipe.interpolation]
    resized_px = round(side_px / recipe.crop)
    if recipe.resize == "squash":
        resized = picture.resize((resized_px, resized_px), interpolation)
    else:
        width, height = picture.size
        short = min(width, height)
        # Cut, not rounded, as torchvision has it.
        resized = picture.resize((resized_px * width // short, resized_px * height // short), interpolation)
    left, top = round((resized.width - side_px) / 2), round((resized.height - side_px) / 2)
    return resized.crop((left, top, left + side_px, top + side_px))


def _pixels(picture: Image.Image) -> Tensor:
    pixels_HWC = cast("np.ndarray[Any, np.dtype[np.uint8]]", np.array(picture))
    return torch.from_numpy(pixels_HWC).permute(2, 0, 1).float() / 255
