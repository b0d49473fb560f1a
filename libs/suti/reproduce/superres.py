"""Does the subject stay itself when it is enlarged? The toy cascade against bicubic, on renders and on drawings."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suti.local.folder import packaged_models
from suti.ml.evaluation.intervals import Interval, bootstrap_mean, paired_difference
from suti.ml.model_files import folder_digest
from suti.reproduce.cells import CellFolder
from suti.reproduce.rows import Row, as_table, missing_row, write_rows
from suti.reproduce.superres_cells import (
    IDENTIFIED,
    MEASURES,
    PSNR,
    RENDERS,
    SOURCES,
    SSIM,
    Measured,
    SuperresCell,
    measure_superres,
    own_recipe,
)
from suti.reproduce.tasks import Task, process_pool, run_tasks
from suti.reproduce.work import Work
from suti.toyworld.oracle.lineup import IDENTIFYING

EXPERIMENT = "superres"
TOLERATED = 0.02  # share of pictures that enlarging may lose the subject of
_TITLE = "Does the subject stay itself when it is enlarged?"
_SUBJECTS_A_CELL = 4
_SYSTEMS = ("real", "small", "bicubic", "superres")
_COLUMNS = {
    PSNR: "PSNR, dB",
    f"{PSNR}_minus_bicubic": "minus bicubic",
    SSIM: "SSIM",
    f"{SSIM}_minus_bicubic": "minus bicubic",
    IDENTIFIED: "identified among 16",
    f"{IDENTIFIED}_minus_small": "minus before enlarging",
}


@dataclass(frozen=True, kw_only=True)
class SuperresPlan:
    """The experiment, whole."""

    subjects: int = 36
    pictures_each: int = 6
    seeds: tuple[int, ...] = (0, 1, 2)

    def protocol_id(self, seeds: Sequence[int]) -> str:
        """Which subjects of each seed, prompts, pictures and judge."""
        drawn = f"toy-unseen-16way-x4/{self.subjects}x1x{self.pictures_each}/s{','.join(map(str, seeds))}"
        return f"{drawn};oracle={IDENTIFYING}"

    def cells(self) -> list[SuperresCell]:
        """Some subjects each, seed by seed."""
        return [cell for seed in self.seeds for cell in self.cells_of(seed)]

    def cells_of(self, seed: int) -> list[SuperresCell]:
        """Those of one seed."""
        models = packaged_models()
        return [
            SuperresCell(
                experiment=EXPERIMENT,
                system="superres",
                condition=f"subjects {numbers[0]} to {numbers[-1]}",
                subjects=numbers,
                pictures_each=self.pictures_each,
                seed=seed,
                drawer="warmstart",
                drawer_sha256=folder_digest(models / "warmstart"),
                enlarger="superres",
                enlarger_sha256=folder_digest(models / "superres"),
                enlarging=own_recipe("superres"),
                oracle=IDENTIFYING,
            )
            for numbers in batched(range(self.subjects), _SUBJECTS_A_CELL)
        ]


def reproduce_superres(work: Work, plan: SuperresPlan | None = None) -> list[Row]:
    """The experiment as far as time allows; `superres.json`, `.md` and `.png` say what was found, or was not run."""
    plan = plan or SuperresPlan()
    folder = CellFolder(work.out / EXPERIMENT)
    with process_pool(work.processes) as pool:
        missing = [cell for cell in plan.cells() if folder.find(cell) is None]
        tasks: list[Task] = [(_measured, (cell, folder.folder)) for cell in missing]
        run_tasks(pool, tasks, work.deadline, name=EXPERIMENT, ahead=work.ahead)
    rows = rows_of(plan, folder)
    write_rows(rows, work.results / f"{EXPERIMENT}.json")
    page = _page(plan, rows, folder.seconds(plan.cells()))
    (work.results / f"{EXPERIMENT}.md").write_text(page, encoding="utf-8")
    (work.results / f"{EXPERIMENT}.png").write_bytes(_figure(rows))
    return rows


def rows_of(plan: SuperresPlan, folder: CellFolder) -> list[Row]:
    """All rows of the seeds that were run whole; of the others, rows without figures."""
    cells, whole = plan.cells(), [seed for seed in plan.seeds if _is_whole(plan, seed, folder)]
    pictures: list[dict[str, Any]] = [
        {**picture, "subject": f"{cell.seed}/{picture['subject']}"}
        for cell in cells
        if cell.seed in whole
        for picture in (folder.find(cell) or {})["pictures"]
    ]
    rows: list[Row] = []
    protocol = {"experiment": EXPERIMENT, "protocol_id": plan.protocol_id(whole)}
    for source in SOURCES if whole else ():
        some = [one for one in pictures if one["source"] == source]
        for system in _SYSTEMS:
            sha256 = cells[0].enlarger_sha256 if system == "superres" else ""
            names = {**protocol, "condition": source, "system": system, "model_sha256": sha256}
            intervals = _intervals([one["measured"] for one in some], [one["subject"] for one in some], system)
            rows += [_row(interval, **names, metric=metric) for metric, interval in intervals.items()]
    left = [seed for seed in plan.seeds if seed not in whole]
    return [*rows, *(_missing(plan, left, said=f", seeds {left[0]} to {left[-1]}" if whole else "") if left else [])]


def _missing(plan: SuperresPlan, seeds: Sequence[int], *, said: str) -> list[Row]:
    names = {"experiment": EXPERIMENT, "protocol_id": plan.protocol_id(seeds), "system": "superres"}
    return [missing_row(**names, condition=f"{source}{said}", metric=one) for source in SOURCES for one in MEASURES]


def verdict(rows: Sequence[Row]) -> list[str]:
    """What was found that should not be: pictures no nearer to the truth than bicubic's, or a subject lost."""
    failed = [f"{row.metric}, {row.condition}: not measured" for row in rows if row.mean is None]
    for row in rows:
        if row.system != "superres" or row.mean is None or row.low is None:
            continue
        if row.metric.endswith("_minus_bicubic") and row.low <= 0:
            failed.append(f"{row.metric}, {row.condition}: {row.mean:.3f}, its interval reaches {row.low:.3f}")
        if row.metric.endswith("_minus_small") and row.low <= -TOLERATED:
            failed.append(
                f"{row.metric}, {row.condition}: {row.mean:.3f}, its interval reaches {row.low:.3f}, not above "
                f"-{TOLERATED}"
            )
    return failed


def left_of_superres(out: Path, plan: SuperresPlan | None = None) -> str:
    """What is not done yet, in words."""
    folder, cells = CellFolder(out / EXPERIMENT), (plan or SuperresPlan()).cells()
    missing = sum(folder.find(cell) is None for cell in cells)
    return f"{missing} of {len(cells)} cells are left, the {len(cells) - missing} others took {_minutes(folder, cells)}"


def _minutes(folder: CellFolder, cells: Sequence[SuperresCell]) -> str:
    return f"{folder.seconds(cells) / 60:.0f} minutes of one core"


def _is_whole(plan: SuperresPlan, seed: int, folder: CellFolder) -> bool:
    return all(folder.find(cell) is not None for cell in plan.cells_of(seed))


def _measured(cell: SuperresCell, folder: Path) -> None:
    CellFolder(folder).run(cell, lambda: measure_superres(cell))


def _intervals(measured: Sequence[Measured], groups: Sequence[str], system: str) -> dict[str, Interval]:
    """Means of one system, and for the cascade its differences on the same pictures."""
    if system not in measured[0]:  # of drawings nobody knows the truth
        return {}
    values = {name: [one[system][name] for one in measured] for name in MEASURES if name in measured[0][system]}
    found = {name: bootstrap_mean(some, groups=groups) for name, some in values.items()}
    if system == "superres":
        for name, other in ((PSNR, "bicubic"), (SSIM, "bicubic"), (IDENTIFIED, "small")):
            if name in values:
                theirs = [one[other][name] for one in measured]
                found[f"{name}_minus_{other}"] = paired_difference(values[name], theirs, groups=groups)
    return found


def _row(interval: Interval, **names: str) -> Row:
    bounds = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n, "seeds": 1}
    return Row.model_validate({**names, **bounds})


def _page(plan: SuperresPlan, rows: Sequence[Row], seconds: float) -> str:
    recipe = own_recipe("superres")
    return f"""# {_TITLE}

Written by `make reproduce ARGS="--only superres"`, which ends with an error if the answer is no; the same rows are in
`{EXPERIMENT}.json`.

![{_TITLE}]({EXPERIMENT}.png)

{plan.subjects} unseen subjects of each of {len(plan.seeds)} seeds, each
{plan.pictures_each} times in the view of its prompt: rendered exactly, 32 and 128 pixels wide, and drawn
by the warm start from {plan.pictures_each} seeds. The small pictures (`small`) are enlarged four times by `superres`
({recipe.sampler}, {recipe.steps} steps, guidance {recipe.guidance:g}, noise level {recipe.noise_level}) and by Pillow's
bicubic filter; `real` are the large renders. PSNR and SSIM are over all pixels of
red, green and blue. The judge looks at 32 pixels, so larger pictures are averaged down for it: it can see that a
subject was lost by enlarging, not that detail was won. In brackets: 95 % bootstrap intervals over subjects; differences
are of the same pictures. One model was trained: what another training would change is not in the intervals. Enlarging
counts as harmless where the whole interval of the difference in identification lies above -{TOLERATED}.
{seconds / 60:.0f} minutes, beside whatever else the machine did. Protocols:
{_protocols(rows)}.

{_answer(rows)}

{as_table(rows, _COLUMNS)}"""


def _protocols(rows: Sequence[Row]) -> str:
    known = dict.fromkeys((row.protocol_id, row.mean is None) for row in rows)
    return ", ".join(f"`{one}`{' (not run)' if missing else ''}" for one, missing in known)


def _answer(rows: Sequence[Row]) -> str:
    failed = verdict(rows)
    return "The answer is yes." if not failed else "Not shown:\n\n" + "\n".join(f"- {one}" for one in failed)


def _figure(rows: Sequence[Row]) -> bytes:
    """PSNR on the left, identification on the right."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    figure.suptitle(_TITLE)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    _bars(left, rows, PSNR, {RENDERS: "#2a6f97"})
    left.set_ylabel("PSNR to the true 128-pixel render, dB")
    _bars(right, rows, IDENTIFIED, dict(zip(SOURCES, ("#2a6f97", "#e07a5f"), strict=True)))
    right.axhline(1 / 16, color="#8a8a8a", linestyle="--", linewidth=1)
    right.text(0.01, 1 / 16 + 0.01, "chance", color="#8a8a8a", transform=right.get_yaxis_transform())
    right.set_ylim(0, 1.2)  # room for the legend
    right.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    right.set_ylabel("pictures identified among 16 of a class")
    right.legend(fontsize=8, loc="upper right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _bars(axes: Axes, rows: Sequence[Row], metric: str, colours: Mapping[str, str]) -> None:
    named = {
        "real": "real\n128 px",
        "small": "before\n32 px",
        "bicubic": "bicubic\n128 px",
        "superres": "cascade\n128 px",
    }
    found = {(row.system, row.condition): row for row in rows if row.metric == metric and row.mean is not None}
    systems = [system for system in _SYSTEMS if any((system, source) in found for source in colours)]
    width = 0.8 / len(colours)
    for index, (source, colour) in enumerate(colours.items()):
        for place, system in enumerate(systems):
            if (row := found.get((system, source))) is None or row.mean is None:
                continue
            spread = [[row.mean - (row.low or 0)], [(row.high or 0) - row.mean]]
            at = place + (index - (len(colours) - 1) / 2) * width
            axes.bar(at, row.mean, width, yerr=spread, capsize=3, color=colour)
            axes.text(at, row.mean / 2, f"{row.mean:.3g}", ha="center", color="white", fontsize=8)
        axes.bar(0, 0, color=colour, label=source)
    axes.set_xticks(range(len(systems)), [named[system] for system in systems])
