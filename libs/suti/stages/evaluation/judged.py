"""What a judge says of drawings, as rows beside the measured ones; a judge who is away costs no other row.

A question that was never answered is a row without score and with its reason. Where the judge was only away, the next
call asks again; a judge that answers nonsense is not asked the same for ever.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from PIL import Image

from suti.core.errors import RetryableError
from suti.ml.captions.interfaces import AnswerUnusable
from suti.ml.evaluation.judging import Judge, Question
from suti.ml.evaluation.verdicts import METRICS
from suti.stages.evaluation.drawings import Drawing, DrawingSource
from suti.stages.evaluation.measuring import Measured, Missing
from suti.stages.evaluation.plan import EvaluationPlan
from suti.stages.evaluation.rows import EvaluationRow
from suti.stages.evaluation.subjects import EvaluationSubject, Picture, open_pictures
from suti.stages.evaluation.work import EvaluationFolder, Sheet, is_about, shard_name
from suti.stages.progress import Progress, silent

_PARALLEL = 8
_PATIENCE = 8  # questions in a row that found nobody; then the rest is marked without asking
_ASK_AGAIN = frozenset({"ENDPOINT_UNAVAILABLE", "NO_REFERENCES"})


def judge_all(
    plan: EvaluationPlan,
    subjects: Sequence[EvaluationSubject],
    source: DrawingSource,
    judge: Judge,
    folder: EvaluationFolder,
    *,
    progress: Progress = silent,
) -> None:
    """Rows of a judge's answers for every drawing. What was answered is not asked again.

    Raises:
        EndpointRefused: the judge answers no question at all.
    """
    asking = _Asking(judge)
    done = 0
    progress(done, plan.drawings, "drawings judged")
    for subject in subjects:
        planned = plan.subjects[subject.name]
        pictures, refused = open_pictures([path for path in subject.files if path.name in planned.shown])
        references = _References(pictures[: judge.max_references], missing=len(refused))
        sha256 = "" if refused else planned.sha256  # shown to a judge in part, they are shown once more
        for prompt in plan.prompts_of(subject.kind):
            sheet, shard = Sheet.of(plan, subject, sha256, prompt), shard_name(prompt)
            drawings = source.drawings(subject, prompt, asked=sheet.asked, samples=plan.samples)
            known = [
                row
                for row in folder.judged(subject.name, shard, judge.judge_id) or []
                if row.reason not in _ASK_AGAIN and row.subject_sha256 == planned.sha256
            ]
            kept = {
                one.sample: rows
                for one in drawings
                if (rows := [row for row in known if row.sample == one.sample and is_about(row, one)])
            }
            if len(kept) < plan.samples:
                rows = _judge_prompt(sheet, drawings, asking=asking, references=references, kept=kept)
                folder.keep_judged(subject.name, shard, judge.judge_id, rows)
            done += plan.samples
            progress(done, plan.drawings, "drawings judged")


@dataclass(frozen=True)
class _References:
    """What is shown to a judge, and how many pictures more should be."""

    pictures: Sequence[Picture]
    missing: int

    @property
    def images(self) -> list[Image.Image]:
        return [one.image.convert("RGB") for one in self.pictures]

    @property
    def sha256(self) -> str:
        return hashlib.sha256("\n".join(one.pixels_sha256 for one in self.pictures).encode()).hexdigest()


class _Asking:
    """Asks until nobody is there any more."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._in_vain = 0
        self._lock = Lock()

    def ask(self, question: Question) -> dict[str, float] | Missing:
        with self._lock:
            if self._in_vain >= _PATIENCE:
                return Missing("ENDPOINT_UNAVAILABLE", f"not asked: {_PATIENCE} questions before it found nobody")
        try:
            scores = self.judge.judge(question).scores()
        except RetryableError as error:
            with self._lock:
                self._in_vain += 1
            return Missing(error.reason, str(error))
        except AnswerUnusable as error:
            return Missing(error.reason, str(error))
        with self._lock:
            self._in_vain = 0
        return scores


def _judge_prompt(
    sheet: Sheet,
    drawings: Sequence[Drawing],
    *,
    asking: _Asking,
    references: _References,
    kept: Mapping[int, Sequence[EvaluationRow]],
) -> list[EvaluationRow]:
    def answer(drawing: Drawing) -> Sequence[EvaluationRow]:
        if drawing.sample in kept:
            return kept[drawing.sample]
        found: Mapping[str, float] | Missing
        if not references.pictures:
            found = Missing("NO_REFERENCES", "there is no picture to show to a judge")
        elif isinstance(drawing.found, Missing):
            found = drawing.found
        else:
            drawn = drawing.found.image.convert("RGB")
            found = asking.ask(Question(drawn, references.images, sheet.subject.class_word, sheet.text))
        scores = dict.fromkeys(METRICS, found) if isinstance(found, Missing) else found
        judge_id, seen = asking.judge.judge_id, (len(references.pictures), references.missing, references.sha256)
        return [sheet.row(drawing, metric, Measured(scores[metric], *seen), judge_id=judge_id) for metric in METRICS]

    with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="judge") as pool:
        return [row for rows in pool.map(answer, drawings) for row in rows]
