"""Classifier-free guidance (Ho and Salimans 2022), with text and subject together or apart.

Legend: N pictures, C channels, H height, W width.
"""

from torch import Tensor


def guide(free_NCHW: Tensor, full_NCHW: Tensor, weight: float) -> Tensor:
    """Answers pushed away from the unconditional one: free + w (full - free); w = 1 is the conditional answer."""
    return free_NCHW + weight * (full_NCHW - free_NCHW)


def guide_apart(
    free_NCHW: Tensor, text_NCHW: Tensor, full_NCHW: Tensor, *, text_weight: float, subject_weight: float
) -> Tensor:
    """Two weights for two conditions, the subject's on top of the text's (as Brooks et al. 2023, equation 3).

    With equal weights this is `guide(free, full, weight)`.
    """
    return free_NCHW + text_weight * (text_NCHW - free_NCHW) + subject_weight * (full_NCHW - text_NCHW)
