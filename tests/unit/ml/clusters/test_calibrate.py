from pathlib import Path

import pytest
import torch
from torch import Tensor

from suti.ml.clusters.calibrate import (
    CalibrationImpossible,
    ThresholdsUnreadable,
    best_threshold,
    calibrate,
    least_gain,
    load_thresholds,
)
from suti.ml.clusters.recipe import SelectionRecipe
from suti.ml.quality.recipe import FilterRecipe


def _pair(cosine: float) -> Tensor:
    return torch.tensor([[1.0, 0.0], [cosine, (1 - cosine**2) ** 0.5]])


def test_a_clean_gap_is_split_in_its_middle() -> None:
    assert best_threshold(below=[0.1, 0.2, 0.3], above=[0.7, 0.9]) == (0.5, 1.0)


def test_balanced_accuracy_weighs_both_sides_alike() -> None:
    # At 0.65: all 4 below under it, 1 of 2 above over it: (1 + 0.5) / 2. No other place is better.
    place, accuracy = best_threshold(below=[0.1, 0.2, 0.3, 0.5], above=[0.2, 0.8])

    assert accuracy == 0.75
    assert place == 0.65


def test_thresholds_lie_between_mixed_same_and_copied_clusters() -> None:
    thresholds = calibrate(
        same=[_pair(0.8), _pair(0.9)],
        mixed=[_pair(0.3), _pair(0.6)],
        copied=[_pair(0.99), _pair(1.0)],
        clip_sha256="c" * 64,
    )

    assert thresholds.similarity_low == pytest.approx(0.7, abs=1e-6)
    assert thresholds.similarity_high == pytest.approx(0.945, abs=1e-6)
    assert (thresholds.low_accuracy, thresholds.high_accuracy) == (1.0, 1.0)
    assert thresholds.min_gain is None


def test_the_least_gain_keeps_the_stated_share() -> None:
    gains = [0.00, 0.01, 0.02, 0.03]

    assert least_gain(gains, keep=0.25) == 0.025
    assert least_gain(gains, keep=0.5) == 0.015
    assert sum(gain > least_gain(gains, keep=1.0) for gain in gains) == 4


def test_thresholds_are_kept_beside_the_model_and_make_recipes(tmp_path: Path) -> None:
    thresholds = calibrate(
        same=[_pair(0.8)],
        mixed=[_pair(0.2)],
        copied=[_pair(1.0)],
        clip_sha256="c" * 64,
        gains=[0.1, 0.3],
        gain_yield=0.5,
    )
    thresholds.save(tmp_path)

    assert load_thresholds(tmp_path, clip_sha256="c" * 64) == thresholds
    assert thresholds.selection(SelectionRecipe(max_pictures=7)).max_pictures == 7
    assert thresholds.selection(SelectionRecipe()).similarity_low == pytest.approx(0.5, abs=1e-6)
    assert thresholds.filtering(FilterRecipe()).min_gain == 0.2
    assert load_thresholds(tmp_path / "elsewhere") is None


def test_the_copy_limit_lies_between_alike_pictures_and_copies() -> None:
    found = calibrate(
        same=[_pair(0.8)],
        mixed=[_pair(0.2)],
        copied=[_pair(1.0)],
        clip_sha256="c" * 64,
        neighbours=[0.5, 0.9],
        copies=[0.98, 1.0],
    )

    assert found.max_copy_similarity == pytest.approx(0.94, abs=1e-6)
    assert found.copy_accuracy == 1.0
    assert found.filtering(FilterRecipe(min_gain=0.3)) == FilterRecipe(min_gain=0.3, max_copy_similarity=0.94)


def test_thresholds_of_another_clip_are_refused(tmp_path: Path) -> None:
    calibrate(same=[_pair(0.8)], mixed=[_pair(0.2)], copied=[_pair(1.0)], clip_sha256="c" * 64).save(tmp_path)

    with pytest.raises(ThresholdsUnreadable, match="calibrate anew"):
        load_thresholds(tmp_path, clip_sha256="d" * 64)
    (tmp_path / "thresholds.json").write_text("{}")
    with pytest.raises(ThresholdsUnreadable, match="calibrate anew"):
        load_thresholds(tmp_path)


def test_limits_that_cross_or_lack_scores_are_refused() -> None:
    with pytest.raises(CalibrationImpossible, match="cross"):
        calibrate(same=[_pair(0.9)], mixed=[_pair(0.95)], copied=[_pair(0.1)], clip_sha256="c" * 64)
    with pytest.raises(CalibrationImpossible, match="no mixed cluster"):
        calibrate(same=[_pair(0.9)], mixed=[], copied=[_pair(1.0)], clip_sha256="c" * 64)
    with pytest.raises(CalibrationImpossible):
        least_gain([], keep=0.5)
