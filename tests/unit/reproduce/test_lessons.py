"""Lessons: what is written is read."""

from pathlib import Path

import torch

from suti.ml.quality.verdicts import FAILED, Scores
from suti.reproduce.lessons import Lesson, load_lesson, save_lesson
from suti.toyworld.subjects import draw_subject


def test_a_lesson_is_read_as_it_was_written(tmp_path: Path) -> None:
    lesson = Lesson(
        number=7,
        subject=draw_subject(7),
        texts=["a photo of a zorvo fish on a beach"],
        demonstrations_KCHW=torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8),
        prompts=["a photo of a fish in space", "a photo of a fish in space"],
        candidates_NCHW=torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
        scores=[Scores(0.1, 0.5, 0.9, 0.2), FAILED],
        seconds=1.5,
    )

    save_lesson(lesson, tmp_path / "set" / "00007.safetensors")
    found = load_lesson(tmp_path / "set" / "00007.safetensors")

    assert (found.number, found.subject, found.scores) == (7, lesson.subject, lesson.scores)
    assert (found.texts, found.prompts, found.seconds) == (lesson.texts, lesson.prompts, 1.5)
    assert torch.equal(found.demonstrations_KCHW, lesson.demonstrations_KCHW)
    assert torch.equal(found.candidates_NCHW, lesson.candidates_NCHW)
