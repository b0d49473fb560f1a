"""How large the experiments are, and who takes part: one object from which every plan follows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suti.core.records import Skill
from suti.local.folder import packaged_models
from suti.ml.apprentice.recipe import ApprenticeRecipe
from suti.ml.clip.files import WEIGHTS as CLIP_WEIGHTS
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.model_files import file_digest, folder_digest
from suti.ml.rivals.dream_suti import DreamSuti
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth, Lora
from suti.ml.rivals.textual_inversion import TextualInversion
from suti.ml.rivals.untuned import BaseAlone, InContext
from suti.reproduce.drawings import DrawingCell, Truth
from suti.reproduce.lesson_sets import LessonSet, Teacher
from suti.reproduce.sources import Given, Packaged, PackagedName, Source, Taught, WrongSteps
from suti.reproduce.subject_sets import SubjectSet
from suti.stages.presets import TOY, merged
from suti.toyworld.words import tags


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


def _apprentice() -> ApprenticeRecipe:
    return ApprenticeRecipe.model_validate(TOY["apprentice"])


def _full() -> ExpertRecipe:
    return ExpertRecipe.model_validate(TOY["experts"])


def _rivals() -> Mapping[str, AnyRival]:
    """Values for networks of half a million weights: fewer steps, higher rates.

    `dreambooth` has rare word and prior pictures as its paper's; `dreambooth-plain` has neither, as SuTI's own experts.
    `re-imagen-longer` is trained for as many steps as the apprentice, from the same weights, on raw clusters.
    """
    toy = SamplingRecipe.model_validate(TOY["generation"])
    return {
        "base": BaseAlone(),
        "re-imagen": InContext(rival="re-imagen"),
        "re-imagen-longer": InContext(rival="re-imagen"),
        "suti": InContext(rival="suti"),
        "textual-inversion": TextualInversion(vectors=4, steps=200, learning_rate=0.02, batch_pictures=4),
        "dreambooth": DreamBooth(prior_pictures=32, prior_sampling=toy, tuning=_full()),
        "dreambooth-plain": DreamBooth(identifier="", prior_pictures=0, tuning=_full()),
        "lora": Lora(identifier="", tuning=_expert().model_copy(update={"together": 1})),
        "dream-suti": DreamSuti(steps=100, optimizer="adamw", learning_rate=1e-4),
    }


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything. The defaults have 504 pictures of 126 subjects in every cell."""

    subjects: int = 42  # of each seed
    pictures_each: int = 4
    seeds: tuple[int, ...] = (0, 1, 2)
    clusters: int = 256  # whose experts teach the apprentice
    gain_clusters: int = 64  # of the gain threshold's apprentices
    expert: ExpertRecipe = field(default_factory=_expert)
    apprentice: ApprenticeRecipe = field(default_factory=_apprentice)
    given: Given | None = None  # an apprentice from elsewhere takes the place of those taught here
    rivals: Mapping[str, AnyRival] = field(default_factory=_rivals)
    sampling: SamplingRecipe = field(default_factory=lambda: SamplingRecipe.model_validate(TOY["generation"]))

    def set_of(self, seed: int, *, skill: Skill | None = None) -> SubjectSet:
        """Whom a seed draws."""
        return SubjectSet(subjects=self.subjects, pictures_each=self.pictures_each, skill=skill, seed=seed)

    def lessons(self, teacher: Teacher = "experts") -> LessonSet:
        """What a teacher draws; both draw for the same prompts, as often."""
        models = packaged_models()
        many = self.expert.samples_per_prompt
        return LessonSet(
            teacher=teacher,
            # Of renders only the number of samples counts: another recipe of experts makes no others.
            expert=self.expert if teacher == "experts" else ExpertRecipe(samples_per_prompt=many),
            dtype="bfloat16",
            base_sha256=packaged("base").sha256,
            clip_sha256=_digest(models / "clip" / CLIP_WEIGHTS),
            words_sha256=hashlib.sha256(json.dumps(tags(), sort_keys=True).encode()).hexdigest(),
        )

    def taught(
        self,
        seed: int,
        *,
        teacher: Teacher = "experts",
        clusters: int | None = None,
        percentile: int = 0,
        wrong: tuple[WrongSteps, ...] = (),
        start: PackagedName = "warmstart",
    ) -> Taught:
        """An apprentice of the crawl's first clusters."""
        return Taught(
            lessons=self.lessons(teacher),
            clusters=clusters or self.clusters,
            wrong=wrong,
            gain_percentile=percentile,
            start=packaged(start),
            recipe=self.apprentice,
            seed=seed,
        )

    def source_of(self, system: str, seed: int) -> Source:
        """What a system starts from."""
        if system in {"suti", "dream-suti"}:
            return self.given or self.taught(seed)
        if system == "re-imagen-longer":
            return self.taught(seed).model_copy(update={"targets": "own"})
        return packaged("warmstart" if system == "re-imagen" else "base")

    def drawings(
        self,
        system: str,
        *,
        rival: AnyRival | None = None,
        shown: int = 4,
        sampling: SamplingRecipe | None = None,
        skill: Skill | None = None,
    ) -> tuple[DrawingCell, ...]:
        """What a system draws, a cell for each seed; in another way than all others do with a `sampling` of its own."""
        own = rival or self.rivals[system]
        tuned = not isinstance(own, (BaseAlone, InContext))
        return tuple(
            DrawingCell(
                system=system,
                rival=own,
                source=self.source_of(system, seed),
                shown=shown,
                subjects=self.set_of(seed, skill=skill),
                sampling=sampling or self.sampling,
                seed=seed if tuned else 0,
            )
            for seed in self.seeds
        )

    def drawn_by(self, taught: Sequence[Taught]) -> tuple[DrawingCell, ...]:
        """What these apprentices draw, one for each seed, as `suti` does."""
        return tuple(
            DrawingCell(
                system="suti",
                rival=InContext(rival="suti"),
                source=source,
                subjects=self.set_of(seed),
                sampling=self.sampling,
            )
            for seed, source in zip(self.seeds, taught, strict=True)
        )

    def truth(self, rival: str, *, skill: Skill | None = None) -> tuple[DrawingCell, ...]:
        """The subject itself ("real"), or a stranger of its class ("stranger")."""
        one = Truth.model_validate({"rival": rival})
        return tuple(
            DrawingCell(system=rival, rival=one, subjects=self.set_of(seed, skill=skill)) for seed in self.seeds
        )


@cache
def _digest(path: Path) -> str:
    return file_digest(path)


@cache
def packaged(name: str) -> Packaged:
    """A small model that comes with Suti, by its hash."""
    return Packaged.model_validate({"name": name, "sha256": folder_digest(packaged_models() / name)})
