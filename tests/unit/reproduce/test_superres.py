"""The cascade's experiment: rows by hand from cells by hand, and a verdict that can fail."""

from pathlib import Path
from typing import Any

import pytest

from suti.reproduce.cells import CellFolder
from suti.reproduce.rows import Row
from suti.reproduce.superres import SuperresPlan, rows_of, verdict
from suti.reproduce.superres_cells import DRAWINGS, RENDERS

PLAN = SuperresPlan(subjects=8, pictures_each=1, seeds=(0,))


def picture(subject: int, source: str, *, gain_db: float, kept: float) -> dict[str, Any]:
    """One picture: bicubic at 20 dB, the cascade above it, the subject recognised in the small picture."""
    measured: dict[str, dict[str, float]] = {
        "small": {"identified_16way": 1.0},
        "bicubic": {"identified_16way": 1.0},
        "superres": {"identified_16way": kept},
    }
    if source == RENDERS:
        measured["bicubic"] |= {"psnr_db": 20.0, "ssim": 0.7}
        measured["superres"] |= {"psnr_db": 20.0 + gain_db, "ssim": 0.7 + gain_db / 100}
        measured["real"] = {"identified_16way": 1.0}
    return {"subject": f"subject {subject}", "source": source, "measured": measured}


def measured(folder: Path, plan: SuperresPlan = PLAN, *, gain_db: float = 3.0, lost: int = 0) -> list[Row]:
    cells = CellFolder(folder)
    for cell in plan.cells():
        found = [
            picture(subject, source, gain_db=gain_db + subject % 2, kept=float(subject >= lost))
            for subject in cell.subjects
            for source in (RENDERS, DRAWINGS)
        ]
        cells.run(cell, lambda found=found: {"pictures": found})
    return rows_of(plan, cells)


def mean_of(rows: list[Row], source: str, system: str, metric: str) -> float | None:
    (row,) = [one for one in rows if (one.condition, one.system, one.metric) == (source, system, metric)]
    assert row.n == 8
    return row.mean


def test_rows_are_means_over_pictures_and_differences_on_the_same_pictures(tmp_path: Path) -> None:
    rows = measured(tmp_path, lost=2)

    assert mean_of(rows, RENDERS, "superres", "psnr_db") == pytest.approx(23.5)  # four at 23, four at 24
    assert mean_of(rows, RENDERS, "superres", "psnr_db_minus_bicubic") == pytest.approx(3.5)
    assert mean_of(rows, RENDERS, "superres", "ssim_minus_bicubic") == pytest.approx(0.035)
    assert mean_of(rows, DRAWINGS, "superres", "identified_16way") == pytest.approx(0.75)
    assert mean_of(rows, DRAWINGS, "superres", "identified_16way_minus_small") == pytest.approx(-0.25)
    assert mean_of(rows, RENDERS, "real", "identified_16way") == 1.0
    assert not [row for row in rows if row.condition == DRAWINGS and row.metric in {"psnr_db", "ssim"}]  # no truth


def test_the_verdict_is_silent_where_the_subject_stays_itself(tmp_path: Path) -> None:
    assert verdict(measured(tmp_path)) == []


def test_the_verdict_names_what_was_lost(tmp_path: Path) -> None:
    lost = verdict(measured(tmp_path, lost=2))

    assert [line.split(":")[0] for line in lost] == [
        f"identified_16way_minus_small, {RENDERS}",
        f"identified_16way_minus_small, {DRAWINGS}",
    ]


def test_a_point_estimate_within_what_is_tolerated_is_no_verdict(tmp_path: Path) -> None:
    plan = SuperresPlan(subjects=80, pictures_each=1, seeds=(0,))
    rows = measured(tmp_path, plan, lost=1)  # 1 of 80 is less than 0.02, but might be 3 of 80 in other subjects

    lost = [row for row in rows if row.metric == "identified_16way_minus_small" and row.system == "superres"]
    assert all(row.mean == pytest.approx(-1 / 80) and (row.low or 0) < -0.02 for row in lost)
    assert [line.split(",")[0] for line in verdict(rows)] == ["identified_16way_minus_small"] * 2


def test_a_seed_that_was_not_run_leaves_the_others_their_rows_and_no_verdict_is_passed(tmp_path: Path) -> None:
    measured(tmp_path)
    rows = rows_of(SuperresPlan(subjects=8, pictures_each=1, seeds=(0, 1)), CellFolder(tmp_path))

    assert {row.protocol_id.split(";")[0][-2:] for row in rows if row.mean is None} == {"s1"}
    assert {row.protocol_id.split(";")[0][-2:] for row in rows if row.mean is not None} == {"s0"}
    assert {line.rsplit(": ", 1)[1] for line in verdict(rows)} == {"not measured"}


def test_the_experiment_has_three_seeds_five_hundred_pictures_and_a_judge_of_a_version() -> None:
    cells = SuperresPlan().cells()
    assert {cell.seed for cell in cells} == {0, 1, 2}
    assert sum(len(cell.subjects) * cell.pictures_each for cell in cells) >= 500
    assert cells[0].name != cells[0].model_copy(update={"oracle": "another"}).name


def test_the_verdict_wants_more_than_bicubic(tmp_path: Path) -> None:
    blurred = verdict(measured(tmp_path, gain_db=-1.0))

    assert [line.split(",")[0] for line in blurred] == ["psnr_db_minus_bicubic", "ssim_minus_bicubic"]


def test_what_was_not_run_is_a_row_without_a_figure_and_no_success(tmp_path: Path) -> None:
    rows = rows_of(PLAN, CellFolder(tmp_path))

    assert rows
    assert all(row.mean is None and row.n == 0 for row in rows)
    assert len(verdict(rows)) == len(rows)
