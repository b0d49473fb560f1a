"""Where a model that draws comes from: one that Suti brings along, an apprentice of lessons, or a folder given."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from suti.core.seeds import derive_seed
from suti.local.folder import packaged_models
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.model_files import folder_digest
from suti.ml.quality.recipe import FilterRecipe
from suti.ml.subject.files import save_subject_model
from suti.reproduce.apprentices import Kept, keep, own_pictures, train_apprentice
from suti.reproduce.cells import Cell
from suti.reproduce.gain_filter import filter_at
from suti.reproduce.lesson_sets import LessonSet
from suti.reproduce.lessons import Lesson

PackagedName = Literal["base", "warmstart"]
_FACTS = "taught.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Packaged(_Frozen):
    """One of the small models that come with Suti."""

    source: Literal["packaged"] = "packaged"
    name: PackagedName
    sha256: str

    def folder(self, out: Path) -> Path:
        """Where it lies."""
        del out
        return packaged_models() / self.name


class Given(_Frozen):
    """A model that somebody trained elsewhere, taken in by `take`."""

    source: Literal["given"] = "given"
    sha256: str

    def folder(self, out: Path) -> Path:
        """Where it lies once it was taken in."""
        return out / "models" / f"given-{self.sha256[:12]}"

    @classmethod
    def take(cls, folder: Path, out: Path) -> "Given":
        """A copy of the folder is what is measured, whatever becomes of it."""
        given = cls(sha256=folder_digest(folder))
        if not given.folder(out).exists():
            new = given.folder(out).with_suffix(".new")
            shutil.copytree(folder, new, dirs_exist_ok=True)
            new.replace(given.folder(out))
        return given


def results_folder(given: Given | None, out: Path) -> Path:
    """Where tables go unless somebody says: those of a given model never among ours."""
    return Path("docs/results") if given is None else out / f"results-of-{given.sha256[:12]}"


class WrongSteps(_Frozen):
    """A known share of experts that are tuned for a wrong number of steps, so that a filter has something to find."""

    share: float = Field(gt=0, lt=1)
    steps: int


class Taught(_Frozen):
    """An apprentice of the first clusters' lessons; everything that changes it is a field."""

    source: Literal["taught"] = "taught"
    lessons: LessonSet
    clusters: int
    wrong: tuple[WrongSteps, ...] = ()
    gain_percentile: int = 0  # of the candidates' gains, below which nothing is kept; 0: all gains
    max_copy_similarity: float = 0.999  # what is refused at every percentile: copies of a demonstration
    min_copy_difference: float = 0.02
    targets: Literal["drawn", "own"] = "drawn"  # what its lessons drew, or raw clusters as in the Re-Imagen mode
    start: Packaged
    recipe: ApprenticeRecipe
    seed: int = 0

    def folder(self, out: Path) -> Path:
        """Where it lies once it is trained."""
        cell = Cell(experiment="models", system="taught", condition=self.model_dump_json())
        return out / "models" / f"taught-{cell.name[-12:]}"

    def wanted(self) -> dict[LessonSet, list[int]]:
        """The clusters whose lessons it learns from, by how their expert was tuned."""
        found: dict[LessonSet, list[int]] = {}
        for number in range(self.clusters):
            found.setdefault(self.lessons_of(number), []).append(number)
        return found

    def lessons_of(self, number: int) -> LessonSet:
        """Those of one cluster: an expert's wrong number of steps is a matter of its cluster alone."""
        chance = derive_seed(self.lessons.seed, "reproduce-wrong-steps", number) % 10_000 / 10_000
        for wrong in self.wrong:
            if chance < wrong.share:
                expert = self.lessons.expert.model_copy(update={"steps": wrong.steps})
                return self.lessons.model_copy(update={"expert": expert})
            chance -= wrong.share
        return self.lessons

    def is_taught(self, out: Path) -> bool:
        """Whether every lesson is there."""
        return all(
            lessons.path(out, number).exists() for lessons, numbers in self.wanted().items() for number in numbers
        )

    def load(self, out: Path) -> list[Lesson]:
        """The lessons, cluster by cluster."""
        return [lesson for number in range(self.clusters) for lesson in self.lessons_of(number).load(out, [number])]

    def filter(self, lessons: Sequence[Lesson]) -> FilterRecipe:
        """What refuses copies, and gains below its percentile of all lessons' gains."""
        guard = {"max_copy_similarity": self.max_copy_similarity, "min_copy_difference": self.min_copy_difference}
        return filter_at(lessons, self.gain_percentile).model_copy(update=guard)

    def learns_from(self, lessons: Sequence[Lesson]) -> list[Kept]:
        """Its lessons' kept candidates, or its clusters as they are."""
        if self.targets == "own":
            return own_pictures(lessons, demonstrations=self.recipe.demonstrations)
        return keep(lessons, self.filter(lessons))

    def facts(self, out: Path) -> dict[str, Any]:
        """What was counted in its training: examples, clusters_kept, epochs, seconds of one core."""
        return json.loads((self.folder(out) / _FACTS).read_bytes())


Source = Annotated[Packaged | Given | Taught, Field(discriminator="source")]


def train(taught: Taught, out: Path) -> None:
    """Train the apprentice and keep it; nothing is done where it is there already.

    Raises:
        NoExamples: the filter kept nothing.
    """
    folder = taught.folder(out)
    if folder.exists():
        return
    began = time.process_time()
    lessons = taught.load(out)
    kept, raw = taught.learns_from(lessons), taught.targets == "own"
    model = train_apprentice(kept, taught.start.folder(out), taught.recipe, seed=taught.seed, raw=raw)
    new = folder.with_suffix(".new")
    save_subject_model(model, new)
    examples = sum(len(one.rows) + raw * len(one.lesson.texts) for one in kept)
    shown = taught.recipe.steps * taught.recipe.batch_subjects * taught.recipe.targets_per_subject
    facts = {
        "sha256": folder_digest(new),
        "examples": examples,
        "candidates": sum(len(lesson.prompts) for lesson in lessons),
        "clusters_kept": len(kept),
        "epochs": shown / examples,
        "seconds": round(time.process_time() - began, 1),
    }
    (new / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    new.replace(folder)


def is_ready(source: Packaged | Given | Taught, out: Path) -> bool:
    """Whether it can draw."""
    return source.folder(out).exists()


def sha256_of(source: Packaged | Given | Taught, out: Path) -> str:
    """Of its files, without what was noted beside them."""
    return str(source.facts(out)["sha256"]) if isinstance(source, Taught) else source.sha256
