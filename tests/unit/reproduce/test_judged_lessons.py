"""Lessons are judged exactly, once, and what a filter keeps of them is counted."""

from pathlib import Path

import pytest

from suti.reproduce.judged_lessons import JudgedCell, is_judged, judge_lessons, kept_by_filter
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Taught


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the true renders of two subjects lie."""
    folder = tmp_path_factory.mktemp("lessons")
    for lessons, numbers in _taught().wanted().items():
        for task, arguments in lessons.missing(numbers, folder):
            task(*arguments)
    return folder


def _taught(*, percentile: int = 0) -> Taught:
    return Scale().taught(0, teacher="renders", clusters=2, percentile=percentile)


def test_true_renders_are_right_among_what_is_kept(out: Path) -> None:
    assert kept_by_filter(_taught(), out) == {}

    judge_lessons(_taught(), out)
    found = kept_by_filter(_taught(), out)

    assert is_judged(_taught(), out)
    assert found["yield"].n == 2 * 4 * 2  # clusters, prompts, samples
    assert found["right_among_kept"].mean >= 0.8
    assert found["wrong_steps_among_kept"].mean == 0


def test_a_threshold_keeps_less_of_the_same_judged_lessons(out: Path) -> None:
    judge_lessons(_taught(), out)

    everything, half = kept_by_filter(_taught(), out), kept_by_filter(_taught(percentile=50), out)

    assert half["yield"].mean < everything["yield"].mean
    assert half["yield"].n == everything["yield"].n


def test_another_judge_judges_anew() -> None:
    cell = JudgedCell.of(_taught())
    assert cell.name != cell.model_copy(update={"oracle": "another"}).name
