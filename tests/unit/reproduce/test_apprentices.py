"""Apprentices of lessons: what the filter keeps, and that the same lessons make the same one."""

from pathlib import Path

import torch

from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.quality.recipe import FilterRecipe
from suti.reproduce.apprentices import example_set, keep, own_pictures, train_apprentice
from tests.models.subject_models import save_tiny_subject_model, tiny_subject_model
from tests.unit.reproduce.lessons import a_lesson


def test_only_candidates_above_the_gain_are_kept() -> None:
    kept = keep(
        [a_lesson(0.1, 0.3, number=0), a_lesson(0.0, number=1), a_lesson(-2.0, 0.4, number=2)],
        FilterRecipe(min_gain=0.2),
    )
    assert [(one.lesson.number, one.rows) for one in kept] == [(0, (1,)), (2, (1,))]


def test_examples_are_the_kept_candidates_with_their_prompts() -> None:
    lesson = a_lesson(0.1, 0.3, number=0)
    examples = example_set(keep([lesson], FilterRecipe(min_gain=0.2)), tiny_subject_model().base)
    (subject,) = examples.subjects
    (target,) = subject.targets
    assert torch.equal(examples.pictures_PCHW[target.picture], lesson.candidates_NCHW[1])
    assert len(subject.demonstrations) == 2
    assert len(examples.texts.hidden_NLD) == 4  # two captions, one prompt, and the empty text


def test_a_clusters_own_pictures_may_be_targets_as_well() -> None:
    lesson = a_lesson(0.1, 0.3, number=0)
    (subject,) = example_set(keep([lesson], FilterRecipe(min_gain=0.2)), tiny_subject_model().base, raw=True).subjects
    assert len(subject.targets) == 3
    assert set(subject.demonstrations) < set(subject.targets)


def test_the_same_lessons_make_the_same_apprentice(tmp_path: Path) -> None:
    folder = save_tiny_subject_model(tmp_path / "start")
    recipe = ApprenticeRecipe(optimizer="adamw", steps=2, batch_subjects=2, targets_per_subject=2, demonstrations=2)
    kept = keep([a_lesson(0.3, 0.4, number=0), a_lesson(0.5, number=1)], FilterRecipe())

    one, other = (train_apprentice(kept, folder, recipe, seed=3).network.state_dict() for _ in range(2))
    start = tiny_subject_model().network.state_dict()

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], start[name]) for name in one)


def test_raw_clusters_teach_their_own_pictures_and_nothing_that_was_drawn() -> None:
    lessons = [a_lesson(0.5, number=0, pictures=4), a_lesson(0.5, number=1, pictures=3)]
    kept = own_pictures(lessons, demonstrations=3)
    (subject,) = example_set(
        kept, tiny_subject_model().base, raw=True
    ).subjects  # of three pictures none is left to ask
    assert subject.targets == subject.demonstrations
    assert len(subject.targets) == 4
