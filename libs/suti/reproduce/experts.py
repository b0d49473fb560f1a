"""Experiment 1: how many experts does the apprentice need?

Experts of one crawl are drawn once; apprentices learn from nested sets of them, all with the same number of steps, and
from true renders of the same prompts as the ceiling. All draw the same unseen subjects for the same prompts and seeds.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic import JsonValue

from suti.local.demo.judge import Judged, difference, scores
from suti.local.demo.plan import ToyPlan
from suti.local.folder import packaged_models
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.clip.files import WEIGHTS as CLIP_WEIGHTS
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.model_files import file_digest, folder_digest
from suti.report.facts import Score
from suti.reproduce.cells import Cell, CellFolder
from suti.reproduce.experts_cells import ApprenticeCell, DrawerCell, LessonSet, TeacherCell
from suti.reproduce.rows import Row, figure_row, missing_row, score_row
from suti.stages.presets import TOY, merged
from suti.toyworld.words import tags

EXPERIMENT = "experts"
METRICS = ("identified_16way", "clip_t", "clip_i")
_TEACHERS_JUDGED = 24  # clusters


def _expert() -> ExpertRecipe:
    """Adapters of every layer, sixteen experts in one batch: what two cores can tune some hundreds of."""
    lora: Mapping[str, JsonValue] = {
        "method": "lora",
        "lora_targets": ["attention", "feedforward", "convs", "time"],
        "learning_rate": 1e-3,
        "steps": 120,
        "together": 16,
    }
    return ExpertRecipe.model_validate(merged(cast("Mapping[str, JsonValue]", TOY["experts"]), lora))


@dataclass(frozen=True, kw_only=True)
class ExpertsPlan:
    """The experiment, whole."""

    sizes: tuple[int, ...] = (16, 64, 256)
    percentiles: tuple[int, ...] = (0, 50)
    starts: tuple[str, ...] = ("warmstart", "base")
    expert: ExpertRecipe = field(default_factory=_expert)
    apprentice: ApprenticeRecipe = field(default_factory=lambda: ApprenticeRecipe.model_validate(TOY["apprentice"]))
    full_expert: ExpertRecipe = field(
        default_factory=lambda: ExpertRecipe.model_validate(TOY["experts"])
    )  # judged alone
    experts_dtype: Literal["float32", "bfloat16"] = "bfloat16"
    rates: tuple[float, ...] = (1e-5, 5e-5)  # of the apprentice; all but the first are tried on one set of renders
    rates_tried_on: int = 64
    evaluation: ToyPlan = field(default_factory=lambda: ToyPlan(subjects=36))
    sampling: SamplingRecipe = field(default_factory=lambda: SamplingRecipe.model_validate(TOY["generation"]))
    seed: int = 0

    @property
    def protocol_id(self) -> str:
        """Which subjects, prompts, pictures and judge."""
        one = self.evaluation
        return (
            f"toy-unseen-16way/{one.subjects}x{one.prompts_each}x{one.pictures_each}/k{one.demonstrations}/s{one.seed}"
        )

    def lessons(self) -> Mapping[str, LessonSet]:
        """By teacher; both draw for the same prompts."""
        models = packaged_models()
        words = hashlib.sha256(json.dumps(tags(), sort_keys=True).encode()).hexdigest()
        return {
            teacher: LessonSet(
                teacher=teacher,
                expert=self.expert,
                dtype=self.experts_dtype,
                seed=self.seed,
                base_sha256=folder_digest(models / "base"),
                clip_sha256=file_digest(models / "clip" / CLIP_WEIGHTS),
                words_sha256=words,
            )
            for teacher in ("experts", "renders")
        }

    def cells(self) -> list[Cell]:
        """All measurements, the most telling first: time may be over before the last."""
        lessons = self.lessons()
        cells: list[Cell] = [self._drawer("base", "base"), self._drawer("re-imagen", "warmstart")]
        full = lessons["experts"].model_copy(update={"expert": self.full_expert})
        cells += [self._teacher(some) for some in (lessons["experts"], full, lessons["renders"])]
        renders, tried = lessons["renders"], self.rates_tried_on
        cells += [
            self._apprentice(renders, tried, 0, self.starts[0], rate, raw=raw)
            for rate in self.rates[1:]
            for raw in (False, True)
        ]
        for start in self.starts:
            cells += [
                self._apprentice(lessons[teacher], size, percentile, start, self.rates[0])
                for size in sorted(self.sizes, reverse=True)
                for teacher, percentiles in (("experts", self.percentiles), ("renders", (0,)))
                for percentile in percentiles
            ]
        return cells

    def _drawer(self, system: str, model: str) -> DrawerCell:
        return DrawerCell(
            experiment=EXPERIMENT,
            system=system,
            condition="no experts",
            model=model,
            model_sha256=folder_digest(packaged_models() / model),
            evaluation=self.evaluation,
            sampling=self.sampling,
        )

    def _teacher(self, lessons: LessonSet) -> TeacherCell:
        recipe, of_experts = lessons.expert, lessons.teacher == "experts"
        tuned = f", {recipe.steps} steps at {recipe.learning_rate:g}" if of_experts else ""
        return TeacherCell(
            experiment=EXPERIMENT,
            system=recipe.method if of_experts else "real",
            condition=f"its own cluster{tuned}",
            lessons=lessons,
            clusters=min(_TEACHERS_JUDGED, *self.sizes),
        )

    def _apprentice(
        self, lessons: LessonSet, size: int, percentile: int, start: str, rate: float, *, raw: bool = False
    ) -> ApprenticeCell:
        drawn_by = {"experts": f"{size} experts", "renders": f"true renders of {size} subjects"}[lessons.teacher]
        own = " and the clusters' own pictures" if raw else ""
        filtered = f", gain above the {percentile}th percentile" if percentile else ""
        return ApprenticeCell.model_validate(
            {
                "experiment": EXPERIMENT,
                "system": "suti",
                "condition": f"{drawn_by}{own}{filtered}, from the {start}, at {rate:g}",
                "lessons": lessons,
                "clusters": size,
                "raw": raw,
                "gain_percentile": percentile,
                "start": start,
                "start_sha256": folder_digest(packaged_models() / start),
                "recipe": self.apprentice.model_copy(update={"learning_rate": rate}),
                "evaluation": self.evaluation,
                "sampling": self.sampling,
                "seed": self.seed,
            }
        )


def rows_of(plan: ExpertsPlan, folder: CellFolder) -> list[Row]:
    """All rows, of cells that were run and of those that were not."""
    cells = plan.cells()
    rivals = [folder.find(cell) for cell in cells if cell.system == "re-imagen"]
    return [row for cell in cells for row in _rows(cell, plan, folder, rivals[0])]


def _rows(cell: Cell, plan: ExpertsPlan, folder: CellFolder, rival: Mapping[str, Any] | None) -> Iterator[Row]:
    own = isinstance(cell, TeacherCell)  # judged on the clusters' subjects, not on unseen ones
    protocol = "toy-own-cluster-16way" if own else plan.protocol_id
    names = {"experiment": cell.experiment, "condition": cell.condition, "system": cell.system, "protocol_id": protocol}
    found = folder.find(cell)
    if found is None:
        yield from (missing_row(**names, metric=metric) for metric in METRICS)
        return
    names |= {"seeds": 1, "model_sha256": found.get("model_sha256", getattr(cell, "model_sha256", ""))}
    judged = _judged(found)
    yield from _scores(scores(judged), names, suffix="")
    if rival is not None and isinstance(cell, ApprenticeCell):
        yield from _scores(difference(judged, _judged(rival)), names, suffix="_minus_re-imagen")
    for metric, value in found["figures"].items():
        yield figure_row(value, **names, metric=metric)
    yield figure_row(folder.seconds([cell]), **names, metric="seconds")
    if cell.system == "re-imagen":  # the line-ups are the same for all
        for system, score in (("real", found["bounds"]["ceiling"]), ("chance", found["bounds"]["floor"])):
            yield score_row(
                Score(**score), **(names | {"system": system, "model_sha256": ""}), metric="identified_16way"
            )


def _scores(found: Any, names: Mapping[str, str | int], *, suffix: str) -> Iterator[Row]:
    for metric in METRICS:
        yield score_row(getattr(found, metric), **names, metric=f"{metric}{suffix}")


def _judged(found: Mapping[str, Any]) -> Sequence[Judged]:
    return [Judged(**row) for row in found["judged"]]
