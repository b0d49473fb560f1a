"""Running an experiment: lessons and cells through a few processes until the time is over, then its documents."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import batched
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from suti.local.folder import packaged_models
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import load_clip
from suti.reproduce.cells import Cell, CellFolder
from suti.reproduce.clusters import ClusterSource
from suti.reproduce.curve import draw_curve
from suti.reproduce.experts import EXPERIMENT, ExpertsPlan, rows_of
from suti.reproduce.experts_cells import ApprenticeCell, LessonSet, TeacherCell, make_lessons, measure
from suti.reproduce.rows import as_table, write_rows
from suti.toyworld.words import tags

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
    with ProcessPoolExecutor(work.processes, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for lessons, count in _wanted(plan):
            missing = _missing_lessons(plan, lessons, count, work.out)
            _each(pool, missing, deadline, name=f"{lessons.teacher}, {lessons.expert.method}")
        ready = [cell for cell in plan.cells() if folder.find(cell) is None and _is_ready(cell, work.out)]
        _each(pool, [(_measured, (cell, work.out)) for cell in ready], deadline, name="cells")
    write_documents(work, plan, folder)


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


def _missing_lessons(
    plan: ExpertsPlan, lessons: LessonSet, count: int, out: Path
) -> Iterable[tuple[Callable[..., None], tuple[object, ...]]]:
    if lessons.made(out, count):
        return
    models = packaged_models()
    source = ClusterSource(
        load_clip(str(models / "clip")),
        WordLists.model_validate(tags()),
        size_px=32,
        prompts_each=lessons.prompts_each,
        seed=plan.seed,
    )
    missing = (cluster for cluster in source.clusters(range(count)) if not lessons.path(out, cluster.number).exists())
    for some in batched(missing, lessons.expert.together):
        yield make_lessons, (lessons, some, out)


def _is_ready(cell: Cell, out: Path) -> bool:
    return not isinstance(cell, (TeacherCell, ApprenticeCell)) or cell.lessons.made(out, cell.clusters)


def _measured(cell: Cell, out: Path) -> None:
    CellFolder(out / EXPERIMENT).run(cell, lambda: measure(cell, out))


def _each(
    pool: ProcessPoolExecutor,
    tasks: Iterable[tuple[Callable[..., None], tuple[object, ...]]],
    deadline: float,
    *,
    name: str,
) -> None:
    """Every task, a few waiting at a time; none begun after the deadline. Raises what a task raised."""
    waiting: set[Future[None]] = set()
    with tqdm(desc=name, mininterval=5) as bar:
        for task, arguments in tasks:
            if time.monotonic() > deadline:
                break
            waiting.add(pool.submit(task, *arguments))
            while len(waiting) >= 3:
                bar.update(_collect(waiting))
        while waiting:
            bar.update(_collect(waiting))


def _collect(waiting: set[Future[None]]) -> int:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    waiting -= done
    for future in done:
        future.result()
    return len(done)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _page(plan: ExpertsPlan, table: str) -> str:
    expert, apprentice = plan.expert, plan.apprentice
    return f"""# How many experts does the apprentice need?

Written by `make reproduce ARGS="--only experts"`; the same rows are in `experts.json`.

![Identification over the number of experts](experts.png)

Experts: {expert.method}, {expert.steps} steps of {expert.batch_pictures} pictures at {expert.learning_rate:g}.
Apprentice: {apprentice.steps} steps of {apprentice.batch_subjects} subjects with {apprentice.targets_per_subject}
targets each, whatever the number of experts. Protocol `{plan.protocol_id}` (unseen subjects, prompts and pictures of
each, demonstrations, seed): all draw the same subjects for the same prompts from the same noise. In brackets: 95 %
bootstrap intervals over subjects. Seconds are wall-clock time, beside whatever else the machine did.

{table}"""
