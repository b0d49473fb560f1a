"""The paper's quality measure: does a candidate fit its prompt better than what the expert was shown?

Legend: N candidates, K demonstrations of each, D embedding width.
"""

import torch
from torch import Tensor


def clip_gain(text_ND: Tensor, image_ND: Tensor, demos_NKD: Tensor) -> Tensor:
    """How much better each image matches its prompt than the best demonstration does (SuTI, equation 6).

    Shapes: (N, D), (N, D), (N, K, D), rows of unit length -> (N,), a cosine difference in [-2, 2].
    """
    image_N = prompt_similarity(text_ND, image_ND)
    demo_NK = torch.einsum("nd,nkd->nk", text_ND, demos_NKD)
    return image_N - demo_NK.amax(dim=-1)


def prompt_similarity(text_ND: Tensor, image_ND: Tensor) -> Tensor:
    """The cosine of each image and its prompt.

    Shapes: (N, D), (N, D), rows of unit length -> (N,) in [-1, 1].
    """
    return (text_ND * image_ND).sum(dim=-1)
