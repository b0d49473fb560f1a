"""The measurements of experiment 1: what each needs, and what it finds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from suti.core.seeds import derive_seed
from suti.local.demo.judge import Judged, SubjectJudge
from suti.local.demo.plan import ToyPlan
from suti.local.evaluation import put_to_the_test
from suti.local.folder import packaged_models
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.diffusion.base import Base, load_base
from suti.ml.diffusion.pixels import pixels_to_picture
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.model_files import folder_digest
from suti.ml.png import png_of
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.subject.files import SubjectModel, load_subject_model, save_subject_model
from suti.reproduce.apprentices import keep, train_apprentice
from suti.reproduce.cells import Cell
from suti.reproduce.clusters import Cluster
from suti.reproduce.lessons import Lesson, load_lesson, save_lesson
from suti.reproduce.teachers import expert_lessons, render_lesson
from suti.toyworld.captions import view_of_prompt
from suti.toyworld.subjects import distractors

_OTHERS = 15
# What refuses nothing but blank pictures.
_NO_FILTER = FilterRecipe(min_gain=-2, max_copy_similarity=1, min_copy_difference=0)


class LessonSet(BaseModel):
    """Lessons that can be made one by one: who teaches, and everything that changes what is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: Literal["experts", "renders"]
    expert: ExpertRecipe  # of renders, only `samples_per_prompt` counts
    dtype: Literal["float32", "bfloat16"] = "float32"
    prompts_each: int = 4
    seed: int = 0
    base_sha256: str
    clip_sha256: str  # of its weights
    words_sha256: str  # of what captions and prompts are made of

    def path(self, out: Path, number: int) -> Path:
        """Where the lesson of a cluster lies."""
        cell = Cell(experiment="lessons", system=self.teacher, condition=self.model_dump_json())
        return out / "lessons" / f"{self.teacher}-{cell.name[-12:]}" / f"{number:05d}.safetensors"

    def made(self, out: Path, count: int) -> bool:
        """Whether the first `count` lessons are there."""
        return all(self.path(out, number).exists() for number in range(count))

    def load(self, out: Path, count: int) -> list[Lesson]:
        """The first `count` lessons."""
        return self.load_some(out, range(count))

    def load_some(self, out: Path, numbers: Iterable[int]) -> list[Lesson]:
        """The lessons of these clusters."""
        return [load_lesson(self.path(out, number)) for number in numbers]


class DrawerCell(Cell):
    """A packaged model put to the test."""

    model: str
    model_sha256: str
    evaluation: ToyPlan
    sampling: SamplingRecipe


class TeacherCell(Cell):
    """What a teacher drew, judged exactly: all candidates of the first clusters."""

    lessons: LessonSet
    clusters: int


class ApprenticeCell(Cell):
    """An apprentice of the first clusters' lessons, put to the test."""

    lessons: LessonSet
    clusters: int
    raw: bool = False  # whether the clusters' own pictures are targets as well
    gain_percentile: int  # of the candidates' gains, below which nothing is kept; 0: no filter
    start: Literal["base", "warmstart"]
    start_sha256: str
    recipe: ApprenticeRecipe
    evaluation: ToyPlan
    sampling: SamplingRecipe
    seed: int = 0


def make_lessons(lessons: LessonSet, clusters: Sequence[Cluster], out: Path) -> None:
    """Draw the lessons of these clusters and keep each."""
    if lessons.teacher == "experts":
        made = expert_lessons(clusters, _base(), _clip(), lessons.expert, seed=lessons.seed, dtype=lessons.dtype)
    else:
        count = lessons.expert.samples_per_prompt
        made = [render_lesson(cluster, _clip(), samples_per_prompt=count, seed=lessons.seed) for cluster in clusters]
    for lesson in made:
        save_lesson(lesson, lessons.path(out, lesson.number))


def measure(cell: Cell, out: Path) -> dict[str, Any]:
    """What a cell finds: `judged` pictures, and `figures` that were counted on the way."""
    match cell:
        case DrawerCell():
            return _of_drawer(cell)
        case TeacherCell():
            return _of_teacher(cell, out)
        case ApprenticeCell():
            return _of_apprentice(cell, out)
        case _:
            raise TypeError(f"{type(cell)} is no cell of this experiment")


def _of_drawer(cell: DrawerCell) -> dict[str, Any]:
    model = load_subject_model(packaged_models() / cell.model)
    model.network.eval().requires_grad_(requires_grad=False)
    return _tested(model, cell.evaluation, cell.sampling, sees_subjects=cell.model != "base")


def _of_teacher(cell: TeacherCell, out: Path) -> dict[str, Any]:
    lessons = cell.lessons.load(out, cell.clusters)
    judged = [one for lesson in lessons for one in judged_lesson(lesson, seed=cell.lessons.seed)]
    figures = {"seconds_each": float(np.mean([lesson.seconds for lesson in lessons]))}
    return {"judged": [asdict(one) for one in judged], "gains": gains_of(lessons), "figures": figures}


def _of_apprentice(cell: ApprenticeCell, out: Path) -> dict[str, Any]:
    lessons = cell.lessons.load(out, cell.clusters)
    kept = keep(lessons, filter_at(lessons, cell.gain_percentile))
    model = train_apprentice(kept, packaged_models() / cell.start, cell.recipe, seed=cell.seed, raw=cell.raw)
    folder = out / "models" / cell.name
    save_subject_model(model, folder)
    examples = sum(len(one.rows) + cell.raw * len(one.lesson.texts) for one in kept)
    shown = cell.recipe.steps * cell.recipe.batch_subjects * cell.recipe.targets_per_subject
    figures = {"examples": examples, "clusters_kept": len(kept), "epochs": shown / examples}
    found = _tested(model, cell.evaluation, cell.sampling, sees_subjects=True)
    return {**found, "figures": figures, "model_sha256": folder_digest(folder)}


def filter_at(lessons: Sequence[Lesson], percentile: int) -> FilterRecipe:
    """What keeps the candidates whose gain lies above this percentile of all; 0 keeps everything but blank pictures."""
    if percentile == 0:
        return _NO_FILTER
    gains = [gain for gain in gains_of(lessons) if gain > _NO_FILTER.min_gain]
    return FilterRecipe(min_gain=float(np.percentile(gains, percentile)), max_copy_similarity=0.999)


def gains_of(lessons: Sequence[Lesson]) -> list[float]:
    """Of all candidates, lesson by lesson."""
    return [scores.gain for lesson in lessons for scores in lesson.scores]


def _tested(model: SubjectModel, plan: ToyPlan, sampling: SamplingRecipe, *, sees_subjects: bool) -> dict[str, Any]:
    verdict = put_to_the_test(model, plan, sees_subjects=sees_subjects, sampling=sampling, clip=_clip())
    return {
        "judged": [asdict(one) for one in verdict.judged],
        "bounds": verdict.bounds.model_dump(mode="json"),
        "figures": {},
    }


def judged_lesson(lesson: Lesson, *, seed: int) -> list[Judged]:
    """All candidates of a lesson, prompt by prompt."""
    demonstrations = [png_of(pixels_to_picture(pixels_CHW)) for pixels_CHW in lesson.demonstrations_KCHW]
    others = distractors(lesson.subject, derive_seed(seed, "reproduce-distractors", lesson.number), _OTHERS)
    judge = SubjectJudge(lesson.subject, others, demonstrations, clip=_clip(), group=str(lesson.number))
    found: list[Judged] = []
    for prompt in dict.fromkeys(lesson.prompts):
        rows = [row for row, asked in enumerate(lesson.prompts) if asked == prompt]
        pngs: Mapping[str, Sequence[bytes]] = {
            "teacher": [png_of(pixels_to_picture(lesson.candidates_NCHW[row])) for row in rows]
        }
        found += judge.judge(pngs, prompt=prompt, view=view_of_prompt(prompt))[0]["teacher"]
    return found


@cache
def _clip() -> ClipEncoder:
    return load_clip(str(packaged_models() / "clip"))


@cache
def _base() -> Base:
    return load_base(packaged_models() / "base")
