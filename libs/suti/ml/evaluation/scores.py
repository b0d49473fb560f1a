"""DINO, CLIP-I and CLIP-T, as subject-driven generation is judged (DreamBooth, section 4.2; SuTI, section 5).

Legend: N drawn pictures, K demonstrations or references of each, D embedding width.
"""

import torch
from torch import Tensor


def clip_t(image_ND: Tensor, text_ND: Tensor) -> Tensor:
    """How well each picture fits its prompt: the cosine of their CLIP embeddings.

    Shapes: (N, D), (N, D), rows of unit length -> (N,), in [-1, 1].
    """
    return (image_ND * text_ND).sum(dim=-1)


def clip_i(image_ND: Tensor, demos_NKD: Tensor) -> Tensor:
    """How much each picture looks like its demonstrations: the mean cosine to them.

    Shapes: (N, D), (N, K, D), rows of unit length -> (N,), in [-1, 1].
    """
    return torch.einsum("nd,nkd->nk", image_ND, demos_NKD).mean(dim=-1)


def likeness(image_ND: Tensor, references_KD: Tensor) -> Tensor:
    """How much each picture looks like all of one subject's references, on the average: the DINO score of DINO's rows.

    Shapes: (N, D), (K, D), rows of unit length -> (N,), in [-1, 1].
    """
    return (image_ND @ references_KD.T).mean(dim=-1)
