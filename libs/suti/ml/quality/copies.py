"""The copy guard: a candidate that merely repeats a demonstration teaches nothing, however well it fits.

Two views of it, since each misses something: CLIP sees through crops and compression, pixels see what a CLIP of few
classes takes for equal. Legend: N candidates, K demonstrations of each, D embedding width, S low-resolution side.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

LOW_RESOLUTION_PX = 16
FLAT_RANGE = 3  # of 255; a picture whose every channel stays within it shows nothing


def copy_similarity(image_ND: Tensor, demos_NKD: Tensor) -> Tensor:
    """Each image's cosine to the demonstration most like it.

    Shapes: (N, D), (N, K, D), rows of unit length -> (N,) in [-1, 1].
    """
    return torch.einsum("nd,nkd->nk", image_ND, demos_NKD).amax(dim=-1)


def low_resolution(picture: Image.Image) -> NDArray[np.float64]:
    """What is left of a picture's middle square at 16 px: means over areas, so that noise and re-encoding vanish.

    Shapes: any size -> (S, S, 3), values in [0, 1].
    """
    small = ImageOps.fit(picture.convert("RGB"), (LOW_RESOLUTION_PX, LOW_RESOLUTION_PX), method=Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def copy_difference(candidate_SS3: NDArray[np.float64], demos_KSS3: NDArray[np.float64]) -> float:
    """The root mean squared difference to the nearest demonstration, mirrored ones included; 0 for the same picture.

    Shapes: (S, S, 3), (K, S, S, 3) -> a number in [0, 1]; 1 where there is no demonstration.
    """
    if len(demos_KSS3) == 0:
        return 1.0
    both = np.concatenate([demos_KSS3, demos_KSS3[:, :, ::-1]])
    return float(np.sqrt(((both - candidate_SS3) ** 2).mean(axis=(1, 2, 3))).min())


def shows_nothing(picture: Image.Image) -> bool:
    """Whether a picture is one flat colour, as a sampler leaves it when its numbers overflowed."""
    extrema = np.asarray(picture.convert("RGB").getextrema())
    return bool((extrema[:, 1] - extrema[:, 0] <= FLAT_RANGE).all())
