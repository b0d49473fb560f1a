"""Which raw clusters show one subject (SuTI, appendix A.1): pure functions of CLIP embeddings.

Legend: K pictures of one cluster, D embedding width. Rows have unit length. Scores are rounded to six decimals before
anything is decided by them, so that the last bits of a float decide nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import SelectionRecipe

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One picture that does not stay in its cluster."""

    row: int  # 0-based, of the K given
    reason: Drop
    score: float


@dataclass(frozen=True, slots=True)
class Selection:
    """The verdict on one cluster. `reason` is None if it is kept, and `kept` are its rows then, in the order given."""

    kept: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    reason: Drop | None
    similarity: float | None  # mean over all pairs after outliers went; None for less than two pictures


def select_pictures(embeddings_KD: Tensor, recipe: SelectionRecipe) -> Selection:
    """Judge one cluster: outliers out (if the recipe says so), its similarity within limits, the most central kept.

    Both limits are inclusive. Where there are more than `max_pictures`, those nearest the centroid stay; of equals the
    earlier row. Give rows sorted by picture id, and the answer depends on nothing else.

    Shapes: (K, D), rows of unit length.
    """
    rows = list(range(len(embeddings_KD)))
    left_out: list[LeftOut] = []
    if len(rows) < recipe.min_pictures:
        return Selection((), (), Drop.CLUSTER_TOO_FEW_AFTER_TOMBSTONES, mean_pairwise_similarity(embeddings_KD))
    if recipe.drop_outliers:
        rows, left_out = _without_outliers(embeddings_KD, recipe.outlier_similarity)
        if len(rows) < recipe.min_pictures:
            similarity = mean_pairwise_similarity(embeddings_KD[rows])
            return Selection((), tuple(left_out), Drop.CLUSTER_TOO_FEW_AFTER_OUTLIERS, similarity)
    similarity = mean_pairwise_similarity(embeddings_KD[rows])
    reason = None
    if similarity is not None and similarity < recipe.similarity_low:
        reason = Drop.CLUSTER_TOO_DISSIMILAR
    elif similarity is not None and similarity > recipe.similarity_high:
        reason = Drop.CLUSTER_TOO_SIMILAR
    if reason is not None:
        return Selection((), tuple(left_out), reason, similarity)
    nearness = centroid_similarity(embeddings_KD[rows])
    by_nearness = sorted(range(len(rows)), key=lambda place: (-nearness[place], place))
    kept = sorted(rows[place] for place in by_nearness[: recipe.max_pictures])
    left_out += [
        LeftOut(rows[place], Drop.NOT_AMONG_NEAREST, nearness[place]) for place in by_nearness[recipe.max_pictures :]
    ]
    return Selection(tuple(kept), tuple(left_out), None, similarity)


def mean_pairwise_similarity(embeddings_KD: Tensor) -> float | None:
    """The mean cosine over all K (K - 1) / 2 pairs; None for less than two pictures.

    From the length of the rows' sum: |sum|^2 = K + 2 * (sum over pairs), since rows have unit length.

    Shapes: (K, D), rows of unit length -> in [-1, 1].
    """
    count = len(embeddings_KD)
    if count < 2:
        return None
    rows_KD = embeddings_KD.double()
    sum_D = rows_KD.sum(dim=0)
    own = float(rows_KD.square().sum())  # K, but for the rounding of float32 rows
    return round((float(sum_D @ sum_D) - own) / (count * (count - 1)), _DECIMALS)


def centroid_similarity(embeddings_KD: Tensor) -> list[float]:
    """Each row's cosine with the mean of all.

    Shapes: (K, D), rows of unit length -> K numbers in [-1, 1].
    """
    rows_KD = embeddings_KD.double()
    centroid_D = torch.nn.functional.normalize(rows_KD.sum(dim=0), dim=0)
    return _rounded(rows_KD @ centroid_D)


def _without_outliers(embeddings_KD: Tensor, limit: float) -> tuple[list[int], list[LeftOut]]:
    """Takes out the picture that is least like the others, one at a time, while that is below the limit.

    One at a time, because a single stranger among three lowers the others' means too.
    """
    rows_KD = embeddings_KD.double()
    rows = list(range(len(rows_KD)))
    left_out: list[LeftOut] = []
    while len(rows) > 1:
        chosen_KD = rows_KD[rows]
        own_K = chosen_KD.square().sum(dim=1)
        others = _rounded((chosen_KD @ chosen_KD.sum(dim=0) - own_K) / (len(rows) - 1))
        worst = min(range(len(rows)), key=lambda place: (others[place], place))
        if others[worst] >= limit:
            break
        left_out.append(LeftOut(rows.pop(worst), Drop.OUTLIER, others[worst]))
    return rows, left_out


def _rounded(values_K: Tensor) -> list[float]:
    numbers: Sequence[float] = values_K.tolist()
    return [round(number, _DECIMALS) for number in numbers]
