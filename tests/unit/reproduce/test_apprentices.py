"""Apprentices of lessons: what the filter keeps, and that the same lessons make the same one."""

from pathlib import Path

import torch

from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.quality.verdicts import FAILED, Scores
from suti.reproduce.apprentices import example_set, keep, train_apprentice
from suti.reproduce.lessons import Lesson
from suti.toyworld.subjects import draw_subject
from tests.models.subject_models import SIZE_PX, save_tiny_subject_model, tiny_subject_model


def _lesson(number: int, *gains: float) -> Lesson:
    generator = torch.Generator().manual_seed(number)
    size = (3, SIZE_PX, SIZE_PX)
    return Lesson(
        number=number,
        subject=draw_subject(number),
        texts=["a cat", "a cat in space"],
        demonstrations_KCHW=torch.randint(0, 256, (2, *size), dtype=torch.uint8, generator=generator),
        prompts=[f"a cat {row}" for row in range(len(gains))],
        candidates_NCHW=torch.randint(0, 256, (len(gains), *size), dtype=torch.uint8, generator=generator),
        scores=[FAILED if gain < -1 else Scores(gain, 0.5, 0.5, 0.5) for gain in gains],
        seconds=0.0,
    )


def test_only_candidates_above_the_gain_are_kept() -> None:
    kept = keep([_lesson(0, 0.1, 0.3), _lesson(1, 0.0), _lesson(2, -2.0, 0.4)], FilterRecipe(min_gain=0.2))
    assert [(one.lesson.number, one.rows) for one in kept] == [(0, (1,)), (2, (1,))]


def test_examples_are_the_kept_candidates_with_their_prompts() -> None:
    lesson = _lesson(0, 0.1, 0.3)
    examples = example_set(keep([lesson], FilterRecipe(min_gain=0.2)), tiny_subject_model().base)
    (subject,) = examples.subjects
    (target,) = subject.targets
    assert torch.equal(examples.pictures_PCHW[target.picture], lesson.candidates_NCHW[1])
    assert len(subject.demonstrations) == 2
    assert len(examples.texts.hidden_NLD) == 4  # two captions, one prompt, and the empty text


def test_a_clusters_own_pictures_may_be_targets_as_well() -> None:
    lesson = _lesson(0, 0.1, 0.3)
    (subject,) = example_set(keep([lesson], FilterRecipe(min_gain=0.2)), tiny_subject_model().base, raw=True).subjects
    assert len(subject.targets) == 3
    assert set(subject.demonstrations) < set(subject.targets)


def test_the_same_lessons_make_the_same_apprentice(tmp_path: Path) -> None:
    folder = save_tiny_subject_model(tmp_path / "start")
    recipe = ApprenticeRecipe(optimizer="adamw", steps=2, batch_subjects=2, targets_per_subject=2, demonstrations=2)
    kept = keep([_lesson(0, 0.3, 0.4), _lesson(1, 0.5)], FilterRecipe())

    one, other = (train_apprentice(kept, folder, recipe, seed=3).network.state_dict() for _ in range(2))
    start = tiny_subject_model().network.state_dict()

    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], start[name]) for name in one)
