"""A set of lessons: who teaches and what changes what is drawn, and what it takes to make those that are not there."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import batched
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from suti.local.folder import packaged_models
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.diffusion.base import Base, load_base
from suti.ml.experts.recipe import ExpertRecipe
from suti.reproduce.cells import Cell
from suti.reproduce.clusters import Cluster, ClusterSource
from suti.reproduce.lessons import Lesson, load_lesson, save_lesson
from suti.reproduce.tasks import Task
from suti.reproduce.teachers import expert_lessons, render_lesson
from suti.toyworld.words import tags

Teacher = Literal["experts", "renders"]
_RENDERS_A_TASK = 16


class LessonSet(BaseModel):
    """Lessons that can be made one by one: who teaches, and everything that changes what is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teacher: Teacher
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

    def load(self, out: Path, numbers: Iterable[int]) -> list[Lesson]:
        """The lessons of these clusters."""
        return [load_lesson(self.path(out, number)) for number in numbers]

    def missing(self, numbers: Iterable[int], out: Path) -> Iterable[Task]:
        """Tasks that draw the lessons of these clusters, as many experts at a time as their recipe takes together."""
        missing = [number for number in numbers if not self.path(out, number).exists()]
        if not missing:
            return
        source = ClusterSource(
            _clip(), WordLists.model_validate(tags()), size_px=32, prompts_each=self.prompts_each, seed=self.seed
        )
        wanted = set(missing)
        clusters = (cluster for cluster in source.clusters(range(max(wanted) + 1)) if cluster.number in wanted)
        together = self.expert.together if self.teacher == "experts" else _RENDERS_A_TASK
        for some in batched(clusters, together):
            yield make_lessons, (self, some, out)


def make_lessons(lessons: LessonSet, clusters: Sequence[Cluster], out: Path) -> None:
    """Draw the lessons of these clusters and keep each."""
    if lessons.teacher == "experts":
        made = expert_lessons(clusters, _base(), _clip(), lessons.expert, seed=lessons.seed, dtype=lessons.dtype)
    else:
        count = lessons.expert.samples_per_prompt
        made = [render_lesson(cluster, _clip(), samples_per_prompt=count, seed=lessons.seed) for cluster in clusters]
    for lesson in made:
        save_lesson(lesson, lessons.path(out, lesson.number))


@cache
def _clip() -> ClipEncoder:
    return load_clip(str(packaged_models() / "clip"))


@cache
def _base() -> Base:
    return load_base(packaged_models() / "base")
