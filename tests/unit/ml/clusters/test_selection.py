import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from suti.ml.clusters.recipe import SelectionRecipe
from suti.ml.clusters.selection import centroid_similarity, mean_pairwise_similarity, select_pictures

PAPER = SelectionRecipe()


def _trio(cosine: float) -> Tensor:
    """Three unit rows, each pair of them with that cosine: (a, b, b), (b, a, b), (b, b, a) has a^2 + 2 b^2 = 1."""
    # 2ab + b^2 = cosine and (a + 2b)^2 = 1 + 2 cosine
    total = math.sqrt(1 + 2 * cosine)
    difference = math.sqrt(1 - cosine)  # a - b, since (a - b)^2 = 1 - cosine
    b = (total - difference) / 3
    return torch.full((3, 3), b, dtype=torch.float64) + torch.eye(3, dtype=torch.float64) * difference


def _fan(*degrees: float) -> Tensor:
    """Unit rows in a plane; the cosine of two is that of the angle between them."""
    return torch.tensor([[math.cos(math.radians(angle)), math.sin(math.radians(angle))] for angle in degrees])


def test_the_mean_is_over_all_pairs() -> None:
    rows_KD = F.normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), dim=1)

    by_hand = sum(float(rows_KD[i] @ rows_KD[j]) for i, j in combinations(range(7), 2)) / 21

    assert mean_pairwise_similarity(rows_KD) == pytest.approx(by_hand, abs=2e-6)


def test_a_right_angle_and_a_half_by_hand() -> None:
    assert mean_pairwise_similarity(_fan(0, 60)) == 0.5
    assert mean_pairwise_similarity(_fan(0, 90, 180)) == pytest.approx(-1 / 3, abs=1e-6)
    assert mean_pairwise_similarity(_fan(0)) is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("similarity", "reason"),
    [
        (0.82, None),
        (0.98, None),
        (0.90, None),
        (0.819, "CLUSTER_TOO_DISSIMILAR"),
        (0.981, "CLUSTER_TOO_SIMILAR"),
    ],
)
def test_the_papers_limits_are_inclusive(similarity: float, reason: str | None, dtype: torch.dtype) -> None:
    selection = select_pictures(_trio(similarity).to(dtype), PAPER)

    assert selection.similarity == pytest.approx(similarity, abs=1e-9)
    assert selection.reason == reason
    assert selection.kept == ((0, 1, 2) if reason is None else ())


def test_a_single_stranger_goes_only_where_the_switch_is_on() -> None:
    rows_KD = torch.cat([_fan(0, 10, 20), _fan(90)])
    strict = SelectionRecipe(drop_outliers=True)

    assert select_pictures(rows_KD, PAPER).reason == "CLUSTER_TOO_DISSIMILAR"
    selection = select_pictures(rows_KD, strict)
    assert selection.kept == (0, 1, 2)
    others = (math.cos(math.radians(90)) + math.cos(math.radians(80)) + math.cos(math.radians(70))) / 3
    assert [(out.row, out.reason) for out in selection.left_out] == [(3, "OUTLIER")]
    assert selection.left_out[0].score == pytest.approx(others, abs=1e-6)


def test_a_cluster_of_strangers_ends_with_too_few() -> None:
    selection = select_pictures(torch.eye(4), SelectionRecipe(drop_outliers=True))

    assert selection.reason == "CLUSTER_TOO_FEW_AFTER_OUTLIERS"
    assert selection.kept == ()


def test_of_many_the_ten_nearest_the_centroid_stay() -> None:
    angles = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30, -30]  # centroid near 4.5 degrees
    selection = select_pictures(_fan(*angles), SelectionRecipe(similarity_low=0.5))

    assert selection.kept == tuple(range(10))
    assert sorted(out.row for out in selection.left_out) == [10, 11, 12]
    assert {out.reason for out in selection.left_out} == {"NOT_AMONG_NEAREST"}


def test_of_equally_near_ones_the_earlier_stay() -> None:
    same = torch.tensor([[1.0, 0.0]]).repeat(12, 1)
    selection = select_pictures(same, SelectionRecipe(similarity_high=1.0))

    assert selection.kept == tuple(range(10))


def test_the_centroid_is_the_mean_direction() -> None:
    near = centroid_similarity(_fan(-20, 0, 20))

    assert near == pytest.approx([math.cos(math.radians(20)), 1.0, math.cos(math.radians(20))], abs=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_pictures_are_no_cluster(count: int) -> None:
    assert select_pictures(torch.eye(3)[:count], PAPER).reason == "CLUSTER_TOO_FEW_AFTER_TOMBSTONES"
