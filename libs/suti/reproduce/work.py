"""Running an experiment: lessons and cells through a few processes until the time is over, then its documents."""

import time
from dataclasses import dataclass
from pathlib import Path

from suti.reproduce.cells import Cell, CellFolder
from suti.reproduce.curve import draw_curve
from suti.reproduce.experts import EXPERIMENT, ExpertsPlan, rows_of
from suti.reproduce.experts_cells import ApprenticeCell, LessonSet, TeacherCell, measure
from suti.reproduce.lesson_sets import missing_lessons
from suti.reproduce.rows import as_table, write_rows
from suti.reproduce.tasks import process_pool, run_tasks

_COLUMNS = {
    "identified_16way": "identified among 16",
    "identified_16way_minus_re-imagen": "minus Re-Imagen mode",
    "clip_t": "CLIP-T",
    "clip_i": "CLIP-I",
    "examples": "examples",
    "epochs": "epochs",
    "seconds": "seconds",
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where, with how many processes, and for how long."""

    out: Path
    results: Path
    processes: int
    minutes: float


def reproduce_experts(work: Work, plan: ExpertsPlan | None = None) -> None:
    """Experiment 1 as far as time allows; `experts.json`, `.md` and `.png` say what was found, and what was not run."""
    plan = plan or ExpertsPlan()
    folder = CellFolder(work.out / EXPERIMENT)
    deadline = time.monotonic() + work.minutes * 60
    with process_pool(work.processes) as pool:
        for lessons, count in _wanted(plan):
            missing = missing_lessons(lessons, range(count), work.out)
            run_tasks(pool, missing, deadline, name=f"{lessons.teacher}, {lessons.expert.method}")
        ready = [cell for cell in plan.cells() if folder.find(cell) is None and _is_ready(cell, work.out)]
        run_tasks(pool, [(_measured, (cell, work.out)) for cell in ready], deadline, name="cells")
    write_documents(work, plan, folder)


def left_of_experts(out: Path, plan: ExpertsPlan | None = None) -> str:
    """What is not done yet, in words."""
    plan = plan or ExpertsPlan()
    folder, cells = CellFolder(out / EXPERIMENT), plan.cells()
    missing = sum(folder.find(cell) is None for cell in cells)
    paths = {lessons.path(out, number) for lessons, count in _wanted(plan) for number in range(count)}
    lessons = sum(not path.exists() for path in paths)
    return f"{missing} of {len(cells)} cells and {lessons} of {len(paths)} lessons are left"


def write_documents(work: Work, plan: ExpertsPlan, folder: CellFolder) -> None:
    """Everything that was found so far."""
    rows = rows_of(plan, folder)
    write_rows(rows, work.results / f"{EXPERIMENT}.json")
    (work.results / f"{EXPERIMENT}.md").write_text(_page(plan, as_table(rows, _COLUMNS)), encoding="utf-8")
    (work.results / f"{EXPERIMENT}.png").write_bytes(draw_curve(plan, rows))


def _wanted(plan: ExpertsPlan) -> list[tuple[LessonSet, int]]:
    """Every set of lessons that a cell needs, and how many of it at most."""
    counts: dict[LessonSet, int] = {}
    for cell in plan.cells():
        if isinstance(cell, (TeacherCell, ApprenticeCell)):
            counts[cell.lessons] = max(counts.get(cell.lessons, 0), cell.clusters)
    return list(counts.items())


def _is_ready(cell: Cell, out: Path) -> bool:
    return not isinstance(cell, (TeacherCell, ApprenticeCell)) or cell.lessons.made(out, cell.clusters)


def _measured(cell: Cell, out: Path) -> None:
    CellFolder(out / EXPERIMENT).run(cell, lambda: measure(cell, out))


def _page(plan: ExpertsPlan, table: str) -> str:
    expert, apprentice = plan.expert, plan.apprentice
    return f"""# How many experts does the apprentice need?

Written by `make reproduce ARGS="--only experts"`; the same rows are in `experts.json`.

![Identification over the number of experts](experts.png)

Experts: {expert.method}, {expert.steps} steps of {expert.batch_pictures} pictures at {expert.learning_rate:g}.
Apprentice: {apprentice.steps} steps of {apprentice.batch_subjects} subjects with {apprentice.targets_per_subject}
targets each, whatever the number of experts. Protocol `{plan.protocol_id}` (unseen subjects, prompts and pictures of
each, demonstrations, seed): all draw the same subjects for the same prompts from the same noise. In brackets: 95 %
bootstrap intervals over subjects; each apprentice was trained once, and what another training would change is not in
them. Seconds are wall-clock time, beside whatever else the machine did.

{table}"""
