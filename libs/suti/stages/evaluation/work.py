"""An evaluation's way from plan to rows, one prompt of one subject after the other; what is done is not done again.

A shard is one prompt of one subject: it is drawn, measured, and its rows written in one piece. Rows that say why there
is no score stay rows. A shard is settled while its rows are about the pictures that lie there now, measured against the
subject as it is planned now; otherwise it is measured again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import from_parquet, to_parquet
from suti.ml.evaluation.prompts import Prompt
from suti.ml.evaluation.protocols import Protocol
from suti.stages.evaluation.drawings import Drawing, DrawingSource
from suti.stages.evaluation.measuring import METRICS, Measured, MeasuringModels, Missing, SubjectRuler
from suti.stages.evaluation.places import judged_key, rows_key
from suti.stages.evaluation.plan import EvaluationPlan, PlannedSubject
from suti.stages.evaluation.rows import REAL, REAL_SYSTEM, EvaluationRow
from suti.stages.evaluation.subjects import EvaluationSubject, Picture, caption_of, open_pictures
from suti.stages.progress import Progress, silent

REAL_SHARD: Final = "real"
_MAX_DETAIL_CHARS = 300


@dataclass(frozen=True)
class EvaluationFolder:
    """Where an evaluation's rows lie: a store, and the prefix of all its keys."""

    store: Store
    prefix: str = ""

    def rows(self, subject: str, shard: str) -> list[EvaluationRow] | None:
        """A shard's rows, None where nobody wrote any."""
        return self._read(rows_key(self.prefix, subject, shard))

    def judged(self, subject: str, shard: str, judge_id: str) -> list[EvaluationRow] | None:
        """What that judge said of it, None where nobody asked."""
        return self._read(judged_key(self.prefix, subject, shard, judge_id))

    def keep(self, subject: str, shard: str, rows: Sequence[EvaluationRow]) -> None:
        """The shard's rows from now on."""
        self.store.put(rows_key(self.prefix, subject, shard), to_parquet(rows, EvaluationRow))

    def keep_judged(self, subject: str, shard: str, judge_id: str, rows: Sequence[EvaluationRow]) -> None:
        """That judge's rows of it from now on; other judges' stay."""
        self.store.put(judged_key(self.prefix, subject, shard, judge_id), to_parquet(rows, EvaluationRow))

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
        prompts, sha256 = plan.prompts_of(subject.kind), plan.subjects[subject.name].sha256
        todo = [
            prompt
            for prompt in prompts
            if not _is_settled(
                folder.rows(subject.name, shard_name(prompt)),
                sha256,
                source.there(subject, prompt, samples=plan.samples),
            )
        ]
        real = plan.real and not _is_settled(folder.rows(subject.name, REAL_SHARD), sha256)
        done += (len(prompts) - len(todo)) * plan.samples
        progress(done, plan.drawings, "drawings measured")
        if not todo and not real:
            continue
        work = SubjectWork(plan, subject, models)
        if real:
            folder.keep(subject.name, REAL_SHARD, work.real_rows())
        for prompt in todo:
            folder.keep(subject.name, shard_name(prompt), work.rows(prompt, source))
            done += plan.samples
            progress(done, plan.drawings, "drawings measured")


@dataclass(frozen=True)
class Sheet:
    """What the rows of one prompt of one subject have in common; no prompt means its real pictures."""

    plan: EvaluationPlan
    subject: EvaluationSubject
    subject_sha256: str  # of the subject as it was seen; another one than the plan's is seen again
    prompt: Prompt | None
    asked: str = ""  # what the system is asked for
    text: str = ""  # what CLIP-T reads

    @classmethod
    def of(cls, plan: EvaluationPlan, subject: EvaluationSubject, subject_sha256: str, prompt: Prompt | None) -> Self:
        """The sheet of a prompt, its texts written out."""
        if prompt is None:
            return cls(plan, subject, subject_sha256, None)
        asked, text = (words(subject.class_word) for words in (plan.subject_words, plan.text_words))
        return cls(plan, subject, subject_sha256, prompt, prompt.text(asked), prompt.text(text))

    def row(self, drawing: Drawing, metric: str, measured: Measured, *, judge_id: str = "") -> EvaluationRow:
        """One metric of one picture as it is kept."""
        plan, prompt = self.plan, self.prompt
        missing = measured.score if isinstance(measured.score, Missing) else None
        return EvaluationRow(
            system=REAL_SYSTEM if prompt is None else plan.system.name,
            system_sha256="" if prompt is None else plan.system.sha256,
            subject=self.subject.name,
            subject_sha256=self.subject_sha256,
            class_word=self.subject.class_word,
            prompts=plan.prompts,
            prompts_sha256=plan.prompts_sha256,
            prompt_number=REAL if prompt is None else prompt.number,
            skill="" if prompt is None else prompt.skill.value,
            template="" if prompt is None else prompt.template,
            prompt=self.asked,
            sample=drawing.sample,
            seed=drawing.seed,
            pixels_sha256=drawing.found.pixels_sha256 if isinstance(drawing.found, Picture) else "",
            mask_sha256=drawing.found.mask_sha256 if isinstance(drawing.found, Picture) else "",
            metric=metric,
            score=None if isinstance(measured.score, Missing) else measured.score,
            reason=missing.reason if missing else "",
            detail=missing.detail[:_MAX_DETAIL_CHARS] if missing else "",
            text=self.text if metric == "clip_t" else "",
            references=measured.references,
            references_missing=measured.missing,
            against_sha256=measured.against_sha256,
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
        planned_so = plan.subjects[subject.name]
        self._sha256 = _as_seen(planned_so, self._pictures, self._refused).sha256
        names = [_name(one) for one in self._pictures]
        self._ruler = SubjectRuler(
            self._pictures,
            unopened=len(self._refused),
            shown=[place for place, name in enumerate(names) if name in planned_so.shown],
            shown_unopened=len([name for name in planned_so.shown if name not in names]),
            class_word=subject.class_word,
            protocol=plan.protocol,
            models=models,
        )

    def rows(self, prompt: Prompt, source: DrawingSource) -> list[EvaluationRow]:
        """The rows of one prompt's drawings."""
        sheet = Sheet.of(self._plan, self._subject, self._sha256, prompt)
        drawings = source.drawings(self._subject, prompt, asked=sheet.asked, samples=self._plan.samples)
        there = [one.found for one in drawings if isinstance(one.found, Picture)]
        measured = iter(self._ruler.measure(there, text=sheet.text, absent=len(drawings) - len(there)))
        rows: list[EvaluationRow] = []
        for drawing in drawings:
            gone = drawing.found if isinstance(drawing.found, Missing) else None
            scores = next(measured) if gone is None else dict.fromkeys(METRICS, Measured(gone))
            rows += [sheet.row(drawing, metric, scores[metric]) for metric in METRICS]
        return rows

    def real_rows(self) -> list[EvaluationRow]:
        """Each real picture against the others: the upper end of the scale. Where there is none, a row says so."""
        sheet = Sheet.of(self._plan, self._subject, self._sha256, None)
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


def planned(subject: EvaluationSubject, *, demonstrations: int, protocol: Protocol) -> PlannedSubject:
    """The subject as a plan has it: its first usable pictures, by name, are its demonstrations."""
    pictures, refused = open_pictures(subject.files)
    shown = pictures[:demonstrations]
    empty = PlannedSubject(
        class_word=subject.class_word,
        kind=subject.kind,
        pictures={},
        shown=tuple(_name(one) for one in shown),
        captions=tuple(caption_of(one.path, subject.class_word) for one in shown if one.path is not None),
    )
    masks = dict.fromkeys(map(_name, pictures), "") if protocol.background == "removed" else {}
    return _as_seen(empty.model_copy(update={"masks": masks}), pictures, refused)


def shard_name(prompt: Prompt) -> str:
    """Of the shard of a prompt."""
    return f"{prompt.number:02d}"


def _is_settled(rows: list[EvaluationRow] | None, subject_sha256: str, drawings: Sequence[Drawing] = ()) -> bool:
    if rows is None or any(row.subject_sha256 != subject_sha256 for row in rows):
        return False
    measured = {row.sample: row for row in rows}
    return all(one.sample in measured and is_about(measured[one.sample], one) for one in drawings)


def is_about(row: EvaluationRow, drawing: Drawing) -> bool:
    """Whether the row was measured on what lies there now."""
    if isinstance(drawing.found, Missing):
        return (row.pixels_sha256, row.reason) == ("", drawing.found.reason)
    return (row.pixels_sha256, row.mask_sha256) == (drawing.found.pixels_sha256, drawing.found.mask_sha256)


def _as_seen(subject: PlannedSubject, pictures: Sequence[Picture], refused: Mapping[Path, str]) -> PlannedSubject:
    """The subject with the pictures and masks that were found: the planned one, if nothing changed meanwhile."""
    hashes = {_name(one): one.pixels_sha256 for one in pictures} | {path.name: "" for path in refused}
    masks = {_name(one): one.mask_sha256 for one in pictures} if subject.masks else {}
    return subject.model_copy(update={"pictures": dict(sorted(hashes.items())), "masks": dict(sorted(masks.items()))})


def _name(picture: Picture) -> str:
    return picture.path.name if picture.path is not None else ""
