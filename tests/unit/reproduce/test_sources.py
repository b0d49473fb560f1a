"""Apprentices of lessons: named by what they hold, taught by what their clusters' experts drew."""

from pathlib import Path

import pytest

from suti.reproduce.gain import WRONG
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Given, Taught, is_ready, sha256_of
from tests.models.subject_models import save_tiny_subject_model


@pytest.fixture(scope="module")
def taught() -> Taught:
    return Scale().taught(0, clusters=64, wrong=WRONG)


def test_a_known_share_of_experts_is_tuned_for_a_wrong_number_of_steps(taught: Taught) -> None:
    steps = {lessons.expert.steps: len(numbers) for lessons, numbers in taught.wanted().items()}
    assert sum(steps.values()) == 64
    assert set(steps) == {120, *(one.steps for one in WRONG)}
    for one in WRONG:
        assert 0.5 * one.share < steps[one.steps] / 64 < 1.6 * one.share


def test_whose_expert_goes_wrong_is_a_matter_of_the_cluster(taught: Taught) -> None:
    few = taught.model_copy(update={"clusters": 16, "gain_percentile": 90, "seed": 5})
    assert [few.lessons_of(number) for number in range(16)] == [taught.lessons_of(number) for number in range(16)]


def test_right_experts_are_those_of_experiment_one(taught: Taught) -> None:
    assert taught.lessons in taught.wanted()
    assert taught.lessons == Scale().taught(1).lessons


def test_another_seed_or_threshold_is_another_apprentice(taught: Taught, tmp_path: Path) -> None:
    others = [taught, taught.model_copy(update={"seed": 1}), taught.model_copy(update={"gain_percentile": 50})]
    assert len({one.folder(tmp_path) for one in others}) == 3
    assert not any(is_ready(one, tmp_path) for one in others)
    assert not taught.is_taught(tmp_path)


def test_a_given_model_is_taken_in_as_it_was(tmp_path: Path) -> None:
    theirs, out = save_tiny_subject_model(tmp_path / "theirs"), tmp_path / "out"

    given = Given.take(theirs, out)
    for path in (theirs / "subject").iterdir():
        path.unlink()

    assert is_ready(given, out)
    assert sha256_of(given, out) == given.sha256
    assert (given.folder(out) / "subject" / "config.json").exists()
