"""Experiment 1: how many experts does the apprentice need before it generalises?

The paper stops at what it could afford; here sets of experts are nested, drawn once, and beside each stand true renders
for the same prompts: the ceiling of what any expert could teach.
"""

from collections.abc import Iterator
from functools import partial

from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import lines
from suti.reproduce.judged_lessons import kept_by_filter
from suti.reproduce.lesson_sets import Teacher
from suti.reproduce.scale import Scale
from suti.reproduce.sources import PackagedName

SIZES = (64, 256, 1024)
_TITLE = "How many experts does the apprentice need?"
_QUARTER = "a quarter as many"
_STARTS: tuple[PackagedName, ...] = ("warmstart", "base")
# Who teaches, and the percentile of gain below which nothing is kept.
_TEACHING: tuple[tuple[Teacher, int], ...] = (("experts", 0), ("experts", 50), ("renders", 0))


def experts(scale: Scale) -> Experiment:
    """From few to many, from the base and from the warm start."""
    drawers = [Condition(system, "", scale.drawings(system)) for system in ("re-imagen", "base")]
    return Experiment(
        name="experts",
        question=_TITLE,
        conditions=[*bounds(scale), *drawers, *_apprentices(scale)],
        figure=lambda rows: lines(
            rows,
            title=_TITLE,
            across="subjects that taught it",
            series={
                f"{_taught(teacher, percentile)}, from the {start}": [
                    (size, f"suti, {_said(start, teacher, percentile, size)}") for size in SIZES
                ]
                for start in _STARTS
                for teacher, percentile in _TEACHING
            },
            levels=("real", "re-imagen", "base", "chance"),
            doubling=True,
        ),
        about=(
            "Sets of experts are nested, and every apprentice is trained for as many steps on as many pictures a step. "
            f"It asks for {scale.apprentice.steps * scale.apprentice.batch_subjects:,} subjects in all: of a set of "
            "true renders that is larger none comes twice, which is as good as endless."
        ),
        columns=columns("re-imagen", _QUARTER, more={"yield": "kept", "right_among_kept": "right among kept"}),
    )


def _apprentices(scale: Scale) -> Iterator[Condition]:
    for start in _STARTS:
        for teacher, percentile in _TEACHING:
            for size in SIZES:
                yield _condition(scale, start, teacher, percentile, size)


def _condition(scale: Scale, start: PackagedName, teacher: Teacher, percentile: int, size: int) -> Condition:
    taught = [
        scale.taught(seed, teacher=teacher, clusters=size, percentile=percentile, start=start) for seed in scale.seeds
    ]
    against = {"re-imagen": "re-imagen"}
    if size > SIZES[0]:
        against[_QUARTER] = f"suti, {_said(start, teacher, percentile, size // 4)}"
    # What is right among lessons is a matter of the lessons alone, and slow to find: once, of the smallest sets.
    counts = (start, teacher, size) == (_STARTS[0], "experts", SIZES[0])
    return Condition(
        "suti",
        _said(start, teacher, percentile, size),
        scale.drawn_by(taught),
        against=against,
        counted=partial(kept_by_filter, taught[0]) if counts else None,
    )


def _said(start: PackagedName, teacher: Teacher, percentile: int, size: int) -> str:
    return f"{size} {_taught(teacher, percentile)}, from the {start}"


def _taught(teacher: Teacher, percentile: int) -> str:
    filtered = f", gain above the {percentile}th percentile" if percentile else ""
    return {"experts": "experts", "renders": "subjects' true renders"}[teacher] + filtered
