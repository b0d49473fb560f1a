"""An evaluation's way from plan to rows, one prompt of one subject after the other; what is done is not done again.

A shard is one prompt of one subject: it is drawn, measured, and its rows written in one piece. Rows that say why there
is no score stay rows; where the reason may have gone since (a picture that was missing), the shard is measured again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import from_parquet, to_parquet
from suti.ml.evaluation.prompts import Prompt
from suti.stages.evaluation.drawings import Drawing, DrawingSource
from suti.stages.evaluation.measuring import METRICS, Measured, MeasuringModels, Missing, SubjectRuler
from suti.stages.evaluation.places import judged_key, rows_key
from suti.stages.evaluation.plan import EvaluationPlan, PlannedSubject
from suti.stages.evaluation.rows import REAL, EvaluationRow
from suti.stages.evaluation.subjects import EvaluationSubject, Picture, open_pictures
from suti.stages.progress import Progress, silent

REAL_SHARD: Final = "real"
_MAX_DETAIL_CHARS = 300
_MAY_HEAL: Final = frozenset(
    {"DRAWING_MISSING", "PICTURE_UNREADABLE", "MASK_MISSING", "MASK_EMPTY", "MASK_UNFIT", "DRAWING_DIVERGED"}
)


@dataclass(frozen=True)
class EvaluationFolder:
    """Where an evaluation's rows lie: a store, and the prefix of all its keys."""

    store: Store
    prefix: str = ""

    def rows(self, subject: str, shard: str) -> list[EvaluationRow] | None:
        """A shard's rows, None where nobody wrote any."""
        return self._read(rows_key(self.prefix, subject, shard))

    def judged(self, subject: str, shard: str) -> list[EvaluationRow] | None:
        """What a judge said of it, None where nobody asked."""
        return self._read(judged_key(self.prefix, subject, shard))

    def keep(self, subject: str, shard: str, rows: Sequence[EvaluationRow]) -> None:
        """The shard's rows from now on."""
        self.store.put(rows_key(self.prefix, subject, shard), to_parquet(rows, EvaluationRow))

    def keep_judged(self, subject: str, shard: str, rows: Sequence[EvaluationRow]) -> None:
        """The judge's rows of it from now on."""
        self.store.put(judged_key(self.prefix, subject, shard), to_parquet(rows, EvaluationRow))

    def all_rows(self) -> list[EvaluationRow]:
        """Every row that there is, measured and judged, by subject and prompt."""
        folders = (f"{self.prefix}rows/", f"{self.prefix}judged/")
        keys = [info.key for folder in folders for info in self.store.list(folder)]
        return [row for key in keys for row in from_parquet(self.store.get(key), EvaluationRow)]

    def _read(self, key: str) -> list[EvaluationRow] | None:
        try:
            return from_parquet(self.store.get(key), EvaluationRow)
        except ObjectMissing:
            return None


def measure_all(
    plan: EvaluationPlan,
    subjects: Sequence[EvaluationSubject],
    source: DrawingSource,
    models: MeasuringModels,
    folder: EvaluationFolder,
    *,
    progress: Progress = silent,
) -> None:
    """Rows of every drawing of every subject. Whatever stops it, what was written stays, and the next call goes on.

    Raises:
        RetryableError, BadConfiguration: as the source of drawings does.
    """
    done = 0
    progress(done, plan.drawings, "drawings measured")
    for subject in subjects:
        open_shards = [shard for shard in shards_of(plan, subject) if not _is_settled(folder.rows(subject.name, shard))]
        todo = len([shard for shard in open_shards if shard != REAL_SHARD]) * plan.samples
        done += len(plan.prompts_of(subject.kind)) * plan.samples - todo
        if not open_shards:
            progress(done, plan.drawings, "drawings measured")
            continue
        work = SubjectWork(plan, subject, models)
        if REAL_SHARD in open_shards:
            folder.keep(subject.name, REAL_SHARD, work.real_rows())
        for prompt in plan.prompts_of(subject.kind):
            if shard_name(prompt) in open_shards:
                folder.keep(subject.name, shard_name(prompt), work.rows(prompt, source))
                done += plan.samples
                progress(done, plan.drawings, "drawings measured")


@dataclass(frozen=True)
class Sheet:
    """What the rows of one prompt of one subject have in common; no prompt means its real pictures."""

    plan: EvaluationPlan
    subject: EvaluationSubject
    prompt: Prompt | None
    asked: str  # what the system is asked for
    text: str  # what CLIP-T reads

    @classmethod
    def of(cls, plan: EvaluationPlan, subject: EvaluationSubject, prompt: Prompt | None) -> Self:
        """The sheet of a prompt, its texts written out."""
        if prompt is None:
            return cls(plan, subject, None, "", "")
        asked, text = (words(subject.class_word) for words in (plan.subject_words, plan.text_words))
        return cls(plan, subject, prompt, prompt.text(asked), prompt.text(text))

    def row(self, drawing: Drawing, metric: str, measured: Measured, *, judge_id: str = "") -> EvaluationRow:
        """One metric of one picture as it is kept."""
        plan, prompt = self.plan, self.prompt
        missing = measured.score if isinstance(measured.score, Missing) else None
        return EvaluationRow(
            system="real" if prompt is None else plan.system.name,
            system_sha256="" if prompt is None else plan.system.sha256,
            subject=self.subject.name,
            class_word=self.subject.class_word,
            prompts=plan.prompts,
            prompt_number=REAL if prompt is None else prompt.number,
            skill="" if prompt is None else prompt.skill.value,
            prompt=self.asked,
            sample=drawing.sample,
            seed=drawing.seed,
            pixels_sha256=drawing.found.pixels_sha256 if isinstance(drawing.found, Picture) else "",
            metric=metric,
            score=None if isinstance(measured.score, Missing) else measured.score,
            reason=missing.reason if missing else "",
            detail=missing.detail[:_MAX_DETAIL_CHARS] if missing else "",
            text=self.text if metric == "clip_t" else "",
            references=measured.references,
            references_missing=measured.missing,
            protocol_id=judge_id or plan.protocol_id,
            dino_sha256="" if judge_id else plan.dino_sha256,
            clip_sha256="" if judge_id else plan.clip_sha256,
            segmenter_sha256="" if judge_id else plan.segmenter_sha256,
            versions=plan.versions,
        )


class SubjectWork:
    """One subject of a plan: its real pictures opened and looked at, ready for any of its prompts."""

    def __init__(self, plan: EvaluationPlan, subject: EvaluationSubject, models: MeasuringModels) -> None:
        self._plan, self._subject = plan, subject
        self._pictures, self._refused = open_pictures(subject.files)
        shown = plan.subjects[subject.name].shown
        self._ruler = SubjectRuler(
            self._pictures,
            unopened=len(self._refused),
            shown=[place for place, one in enumerate(self._pictures) if _name(one) in shown],
            class_word=subject.class_word,
            protocol=plan.protocol,
            models=models,
        )

    def rows(self, prompt: Prompt, source: DrawingSource) -> list[EvaluationRow]:
        """The rows of one prompt's drawings."""
        sheet = Sheet.of(self._plan, self._subject, prompt)
        drawings = source.drawings(self._subject, prompt, asked=sheet.asked, samples=self._plan.samples)
        there = [one.found for one in drawings if isinstance(one.found, Picture)]
        measured = iter(self._ruler.measure(there, text=sheet.text))
        rows: list[EvaluationRow] = []
        for drawing in drawings:
            gone = drawing.found if isinstance(drawing.found, Missing) else None
            scores = next(measured) if gone is None else dict.fromkeys(METRICS, Measured(gone))
            rows += [sheet.row(drawing, metric, scores[metric]) for metric in METRICS]
        return rows

    def real_rows(self) -> list[EvaluationRow]:
        """Each real picture against the others: the upper end of the scale. Where there is none, a row says so."""
        sheet = Sheet.of(self._plan, self._subject, None)
        lost = [Missing("PICTURE_UNREADABLE", f"{path}: {why}") for path, why in self._refused.items()]
        if not self._subject.files:
            lost.append(Missing("NO_REFERENCES", f"{self._subject.name} has no picture at all"))
        scores = [*self._ruler.measure_real(), *(dict.fromkeys(METRICS, Measured(one)) for one in lost)]
        return [
            sheet.row(Drawing(sample, found), metric, measured[metric])
            for sample, (found, measured) in enumerate(zip([*self._pictures, *lost], scores, strict=True))
            for metric in METRICS
            if metric in measured and metric != "clip_t"  # nobody asked for a real picture
        ]


def planned(subject: EvaluationSubject, *, demonstrations: int) -> PlannedSubject:
    """The subject as a plan has it: its first usable pictures, by name, are its demonstrations."""
    pictures, refused = open_pictures(subject.files)
    hashes = {_name(one): one.pixels_sha256 for one in pictures} | {path.name: "" for path in refused}
    return PlannedSubject(
        class_word=subject.class_word,
        kind=subject.kind,
        pictures=dict(sorted(hashes.items())),
        shown=tuple(_name(one) for one in pictures[:demonstrations]),
    )


def shards_of(plan: EvaluationPlan, subject: EvaluationSubject) -> Iterator[str]:
    """The names of a subject's shards."""
    if plan.real:
        yield REAL_SHARD
    yield from map(shard_name, plan.prompts_of(subject.kind))


def shard_name(prompt: Prompt) -> str:
    """Of the shard of a prompt."""
    return f"{prompt.number:02d}"


def _is_settled(rows: list[EvaluationRow] | None) -> bool:
    return rows is not None and not any(row.reason in _MAY_HEAL for row in rows)


def _name(picture: Picture) -> str:
    return picture.path.name if picture.path is not None else ""
