from itertools import product

import pytest
import torch

from suti.local.folder import packaged_models
from suti.ml.evaluation.dino import load_dino
from suti.ml.evaluation.protocols import TOY
from suti.toyworld.training.dino import contrast
from suti.toyworld.training.dino_auc import area_under_curve, tell_apart


def test_an_area_is_the_share_of_pairs_in_the_right_order() -> None:
    own, other = [0.1, 0.5, 0.5, 0.9], [0.0, 0.5, 0.7]
    right = [(a > b) + (a == b) / 2 for a, b in product(own, other)]

    assert area_under_curve(torch.tensor(own), torch.tensor(other)) == pytest.approx(sum(right) / len(right))


def test_two_views_of_one_subject_that_are_nearest_cost_least() -> None:
    apart = torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1]), 4).float()
    swapped = apart[[0, 2, 1, 3]]

    by_hand = -torch.log(torch.exp(torch.tensor(10.0)) / (torch.exp(torch.tensor(10.0)) + 2))
    assert float(contrast(apart)) == pytest.approx(float(by_hand), abs=1e-6)
    assert float(contrast(swapped)) > float(contrast(apart)) + 5


@pytest.mark.slow
def test_the_committed_vit_tells_subjects_of_one_class_apart_and_is_small() -> None:
    torch.set_num_threads(1)
    folder = packaged_models() / "dino"
    encoder = load_dino(str(folder))

    found = tell_apart(lambda pictures: encoder.look(pictures, TOY.picture).class_ND, subjects=32, skill=None)

    assert found["auc"] > 0.9
    assert found["auc_strangers"] > found["auc_lookalikes"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
