"""Running experiments: lessons, trainings, drawings, measurements, through a few processes until the time is over."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import batched, groupby
from pathlib import Path

from suti.ml.rivals.untuned import BaseAlone, InContext
from suti.reproduce.conditions import Condition, rows_of
from suti.reproduce.documents import write_documents
from suti.reproduce.drawings import DrawingCell, Truth, draw_parts
from suti.reproduce.experiment import Experiment
from suti.reproduce.judged_lessons import is_judged, judge_lessons
from suti.reproduce.scoring import score, unscored
from suti.reproduce.sources import Taught, is_ready, train
from suti.reproduce.tasks import Task, process_pool, run_tasks
from suti.reproduce.work import Work

_SUBJECTS_A_TASK = 14  # of those that nothing is tuned for: half a minute
_TUNED_A_TASK = 2


def reproduce(experiments: Sequence[Experiment], work: Work) -> None:
    """Every experiment as far as time allows, one after the other; its documents are written when it is over."""
    with process_pool(work.processes) as pool:
        for one in experiments:
            run_experiment(pool, one, work)
            write_documents(one, rows_of(one.name, one.conditions, work.out), work)


def run_experiment(pool: ProcessPoolExecutor, experiment: Experiment, work: Work) -> None:
    """Everything of it that is not there yet. What other experiments did is not done again.

    What needs fewer lessons is finished before more are drawn, in case time is over before.
    """
    name, out = experiment.name, work.out

    def run(tasks: Iterable[Task], said: str) -> None:
        run_tasks(pool, tasks, work.deadline, name=said, ahead=work.ahead)

    for _, some in groupby(sorted(experiment.conditions, key=_lessons_needed), key=_lessons_needed):
        conditions = list(some)
        for lessons in _lessons(conditions, out):
            run(lessons, f"{name}: lessons")
        run(_trainings(conditions, out), f"{name}: apprentices")
        run(_drawings(conditions, out), f"{name}: drawings")
        run(_scores(conditions, out), f"{name}: measurements")


def drawings_of(conditions: Iterable[Condition]) -> list[DrawingCell]:
    """What all of them draw, each once, in their order."""
    return list(dict.fromkeys(cell for one in conditions for cell in one.drawings))


def all_taught(conditions: Iterable[Condition]) -> list[Taught]:
    """Every apprentice that they need, each once."""
    return list(dict.fromkeys(taught for one in conditions for taught in one.taught))


def _lessons_needed(condition: Condition) -> int:
    return max((taught.clusters for taught in condition.taught), default=0)


def _lessons(conditions: Sequence[Condition], out: Path) -> Iterable[Iterable[Task]]:
    for taught in all_taught(conditions):
        if not is_ready(taught, out):
            yield from (lessons.missing(numbers, out) for lessons, numbers in taught.wanted().items())


def _trainings(conditions: Sequence[Condition], out: Path) -> Iterable[Task]:
    for taught in all_taught(conditions):
        if taught.is_taught(out) and not is_ready(taught, out):
            yield train, (taught, out)
    counted = [one.taught[0] for one in conditions if one.counted is not None]
    for taught in dict.fromkeys(one.model_copy(update={"gain_percentile": 0, "seed": 0}) for one in counted):
        if taught.is_taught(out) and not is_judged(taught, out):
            yield judge_lessons, (taught, out)


def _drawings(conditions: Sequence[Condition], out: Path) -> Iterable[Task]:
    for cell in drawings_of(conditions):
        if cell.source is None or is_ready(cell.source, out):
            size = _SUBJECTS_A_TASK if isinstance(cell.rival, (BaseAlone, InContext, Truth)) else _TUNED_A_TASK
            for numbers in batched(cell.missing(out), size):
                yield draw_parts, (cell, numbers, out)


def _scores(conditions: Sequence[Condition], out: Path) -> Iterable[Task]:
    for cell in drawings_of(conditions):
        if not cell.missing(out):
            yield from ((score, (cell, place, out)) for place in unscored(cell, out))
