"""An apprentice of a set of lessons: filtered by the product's rules, trained by the product's trainer.

Legend: P pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from suti.core.seeds import derive_seed
from suti.ml.apprentice.examples import ExampleSet, Shown, SubjectExamples
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.apprentice.training import Trainer, TrainingCallback
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.schedule import NoiseSchedule
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.quality.verdicts import Reason, judge
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.reproduce.lessons import Lesson


@dataclass(frozen=True)
class Kept:
    """What the filter leaves of a lesson: rows of its candidates."""

    lesson: Lesson
    rows: tuple[int, ...]


def keep(lessons: Sequence[Lesson], recipe: FilterRecipe) -> list[Kept]:
    """Each lesson's kept candidates; lessons of which nothing is kept are left out."""
    kept = [
        Kept(lesson, tuple(row for row, scores in enumerate(lesson.scores) if judge(scores, recipe) is Reason.KEPT))
        for lesson in lessons
    ]
    return [one for one in kept if one.rows]


def own_pictures(lessons: Sequence[Lesson], *, demonstrations: int) -> list[Kept]:
    """Raw clusters: nothing that was drawn. Of one without a picture more than are demonstrated, none would be left to
    ask for.
    """
    return [Kept(lesson, ()) for lesson in lessons if len(lesson.texts) > demonstrations]


def example_set(kept: Sequence[Kept], base: Base, *, raw: bool = False) -> ExampleSet:
    """The kept candidates and their demonstrations, laid out for training.

    `raw`: a cluster's own pictures are targets as well, as in the Re-Imagen mode, each while it is not demonstrated.
    """
    pictures: list[torch.Tensor] = []
    texts: dict[str, int] = {}

    def shown(picture_CHW: torch.Tensor, text: str) -> Shown:
        pictures.append(picture_CHW)
        return Shown(len(pictures) - 1, texts.setdefault(text, len(texts)))

    subjects: list[SubjectExamples] = []
    for one in kept:
        pairs = zip(one.lesson.demonstrations_KCHW, one.lesson.texts, strict=True)
        demonstrations = tuple(shown(picture_CHW, text) for picture_CHW, text in pairs)
        drawn = tuple(shown(one.lesson.candidates_NCHW[row], one.lesson.prompts[row]) for row in one.rows)
        subjects.append(SubjectExamples(demonstrations, (*drawn, *demonstrations) if raw else drawn))
    return ExampleSet(torch.stack(pictures), base.text.encode([*texts, ""]), subjects)


def train_apprentice(
    kept: Sequence[Kept],
    start: Path,
    recipe: ApprenticeRecipe,
    *,
    seed: int,
    raw: bool = False,
    callback: TrainingCallback | None = None,
) -> SubjectModel:
    """The apprentice, averaged and ready to draw; the same arguments give the same one.

    Raises:
        NoExamples: nothing was kept.
        TrainingDiverged: a loss or its gradient is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "reproduce-attention"))  # a plain base gets new attention
        model = load_subject_model(start)
    model.network.requires_grad_(requires_grad=True)
    trainer = Trainer(
        model.network,
        NoiseSchedule.from_config(model.base.scheduler_config),
        example_set(kept, model.base, raw=raw),
        recipe=recipe,
        seed=derive_seed(seed, "reproduce-training"),
    )
    trainer.run(until=recipe.steps, callback=callback)
    trainer.average.copy_to(model.network)
    model.network.eval().requires_grad_(requires_grad=False)
    return model
