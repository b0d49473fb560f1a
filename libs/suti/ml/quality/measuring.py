"""What a candidate measures against its prompt and the demonstrations of its cluster.

Legend: N candidates, K demonstrations of one cluster, D embedding width, S low-resolution side.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from suti.ml.clip.encoder import ClipEncoder
from suti.ml.quality.copies import copy_difference, copy_similarity, low_resolution, shows_nothing
from suti.ml.quality.gain import clip_gain, prompt_similarity
from suti.ml.quality.verdicts import FAILED, Scores


def score_cluster(
    *,
    text_ND: Tensor,
    image_ND: Tensor,
    demos_KD: Tensor,
    small_NSS3: Sequence[NDArray[np.float64]],
    demos_KSS3: NDArray[np.float64],
) -> list[Scores]:
    """The scores of one cluster's candidates, in order; of prompts, pictures and demonstrations encoded already.

    Shapes: (N, D), (N, D), (K, D), rows of unit length, (N, S, S, 3), (K, S, S, 3) in [0, 1] -> N scores.
    """
    demos_NKD = demos_KD.expand(len(image_ND), -1, -1)
    gains: list[float] = clip_gain(text_ND, image_ND, demos_NKD).tolist()
    fits: list[float] = prompt_similarity(text_ND, image_ND).tolist()
    copies: list[float] = copy_similarity(image_ND, demos_NKD).tolist()
    return [
        Scores(gain, fit, copy, copy_difference(small_SS3, demos_KSS3))
        for gain, fit, copy, small_SS3 in zip(gains, fits, copies, small_NSS3, strict=True)
    ]


def score_pictures(
    clip: ClipEncoder,
    *,
    demonstrations: Sequence[Image.Image],
    candidates: Sequence[Image.Image],
    prompts: Sequence[str],
) -> list[Scores]:
    """The scores of candidates of one subject, each with its prompt, in order; of blank or broken ones FAILED."""
    image_ND = clip.encode_pictures(candidates)
    scores = score_cluster(
        text_ND=clip.encode_texts(list(prompts)),
        image_ND=image_ND,
        demos_KD=clip.encode_pictures(demonstrations),
        small_NSS3=[low_resolution(picture) for picture in candidates],
        demos_KSS3=np.stack([low_resolution(picture) for picture in demonstrations]),
    )
    finite_N: list[bool] = torch.isfinite(image_ND).all(dim=1).tolist()
    return [
        score if finite and not shows_nothing(picture) else FAILED
        for score, finite, picture in zip(scores, finite_N, candidates, strict=True)
    ]
