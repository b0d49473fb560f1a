"""What a high likeness hides: copies, one pose for all drawings, lost detail.

SuTI's authors name the last two as their model's weaknesses (section 6): "less diverse than DreamBooth, and our model
is less inclined to transform the subjects' poses or views", "less faithful to the low-level visual details".

Legend: N drawn pictures of one prompt, K references or demonstrations, P and Q patches, D embedding width.
"""

import torch
from torch import Tensor


def copy_score(image_ND: Tensor, demos_KD: Tensor) -> Tensor:
    """Each picture's cosine to the demonstration most like it; 1 for a copy.

    The largest similarity to any training picture, as copies are looked for in Somepalli et al., "Diffusion Art or
    Digital Forgery?" (CVPR 2023, section 4). Read it beside the likeness: far above it, one demonstration was repeated.

    Shapes: (N, D), (K, D) with K > 0, rows of unit length -> (N,), in [-1, 1].
    """
    return (image_ND @ demos_KD.T).amax(dim=-1)


def diversity(image_ND: Tensor) -> Tensor:
    """How far each picture is, on the average, from the others of its prompt: 1 - cosine; 0 where all are the same.

    The mean over pictures is the mean pairwise distance of the prompt's pictures: DreamBooth's DIV (section 4.4, Table
    3) with DINO in place of LPIPS. What differs may be pose, view or background: with backgrounds removed it is the
    subject's alone.

    Shapes: (N, D) with N > 1, rows of unit length -> (N,), in [0, 2].
    """
    cosine_NN = image_ND @ image_ND.T
    others_N = (cosine_NN.sum(dim=-1) - cosine_NN.diagonal()) / (len(image_ND) - 1)
    return (1 - others_N).clamp(min=0)


def detail_score(
    patch_NPD: Tensor, references_KQD: Tensor, *, wanted_KQ: Tensor, offered_NP: Tensor | None = None
) -> Tensor:
    """How well the places of the real subject are found again, wherever they went: place by place, not as a whole.

    For each of a reference's patches that show the subject, the cosine of the most similar patch of the drawing; the
    mean over the patches of a reference, then over the references. The class token forgives a detail that is missing,
    a patch that nothing resembles does not. (The masked maximum cosine of MaSC, 2026, with DINO's patches.)

    Args:
        patch_NPD: the drawings' patches.
        references_KQD: the references' patches.
        wanted_KQ: True for the patches that show the subject; a reference without any is left out.
        offered_NP: True for the drawings' patches that may answer. None: all.

    Shapes: as named, rows of unit length -> (N,), in [-1, 1]; NaN where nothing is wanted or nothing offered.
    """
    scores_NK: list[Tensor] = []
    for reference_QD, wanted_Q in zip(references_KQD, wanted_KQ, strict=True):
        if not bool(wanted_Q.any()):
            continue
        cosine_NPQ = torch.einsum("npd,qd->npq", patch_NPD, reference_QD[wanted_Q])
        if offered_NP is not None:
            cosine_NPQ = cosine_NPQ.masked_fill(~offered_NP[:, :, None], -torch.inf)
        scores_NK.append(cosine_NPQ.amax(dim=1).mean(dim=-1))
    if not scores_NK:
        return torch.full((len(patch_NPD),), torch.nan)
    score_N = torch.stack(scores_NK, dim=-1).mean(dim=-1)
    return torch.where(score_N.isfinite(), score_N, torch.nan)


def patches_of_mask(mask_NHW: Tensor, *, patch_px: int) -> Tensor:
    """Which patches show the subject: those that are so by half or more.

    Shapes: (N, H, W) bool, H and W multiples of `patch_px` -> (N, P) bool, rows before columns.
    """
    share_NHW = torch.nn.functional.avg_pool2d(mask_NHW[:, None].float(), patch_px)[:, 0]
    return (share_NHW >= 0.5).flatten(1)
