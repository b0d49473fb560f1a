"""Every experiment: three seeds, five hundred pictures a cell, shared drawings, documents before anything is run."""

import json
from pathlib import Path

import pytest

from suti.reproduce.all_experiments import EXPERIMENTS
from suti.reproduce.conditions import METRICS, rows_of
from suti.reproduce.documents import write_documents
from suti.reproduce.estimate import Rates, estimate
from suti.reproduce.running import drawings_of
from suti.reproduce.scale import Scale
from suti.reproduce.work import Work

SCALE = Scale()
each_experiment = pytest.mark.parametrize("name", EXPERIMENTS)


@each_experiment
def test_every_cell_has_three_seeds_and_five_hundred_pictures(name: str) -> None:
    for one in EXPERIMENTS[name](SCALE).conditions:
        assert [cell.subjects.seed for cell in one.drawings] == [0, 1, 2]
        assert sum(cell.subjects.pictures for cell in one.drawings) >= 500


@each_experiment
def test_conditions_have_names_of_their_own_and_are_compared_with_ones_that_are_there(name: str) -> None:
    conditions = EXPERIMENTS[name](SCALE).conditions
    names = [one.name for one in conditions]
    assert len(set(names)) == len(names)
    assert {other for one in conditions for other in one.against.values()} <= set(names)


@each_experiment
def test_what_is_compared_is_of_the_same_subjects(name: str) -> None:
    conditions = {one.name: one for one in EXPERIMENTS[name](SCALE).conditions}
    for one in conditions.values():
        for other in one.against.values():
            assert [cell.subjects for cell in one.drawings] == [cell.subjects for cell in conditions[other].drawings]


@each_experiment
def test_what_was_not_run_is_told_in_every_document(name: str, tmp_path: Path) -> None:
    experiment = EXPERIMENTS[name](SCALE)
    work = Work(out=tmp_path / "out", results=tmp_path / "results", processes=1, minutes=0)
    rows = rows_of(name, experiment.conditions, work.out)

    write_documents(experiment, rows, work)

    assert len(rows) == len(experiment.conditions) * len(METRICS)
    assert {row["mean"] for row in json.loads((work.results / f"{name}.json").read_bytes())["rows"]} == {None}
    assert (work.results / f"{name}.md").read_text().count("not run") >= len(experiment.conditions)
    assert (work.results / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_table_one_has_every_system_of_the_paper_and_ours() -> None:
    systems = [one.system for one in EXPERIMENTS["table1"](SCALE).conditions]
    assert sorted(systems) == sorted(
        ["real", "suti", "dream-suti", "dreambooth", "lora", "textual-inversion", "re-imagen", "base", "chance"]
    )


def test_experiments_share_what_table_one_drew() -> None:
    drawn = set(drawings_of(EXPERIMENTS["table1"](SCALE).conditions))
    for name, shared in (("demonstrations", 4), ("guidance", 3), ("skills", 4), ("gain", 3), ("dream-steps", 4)):
        common = drawn & set(drawings_of(EXPERIMENTS[name](SCALE).conditions))
        assert len(common) >= 3 * shared, name  # three seeds of each


def test_a_plan_counts_shared_work_once(tmp_path: Path) -> None:
    rates = Rates(picture=0.5, plain_picture=0.25, measured=1.0, step=dict.fromkeys(("lora", "dream-suti"), 0.1))
    experiments = [EXPERIMENTS[name](SCALE) for name in ("table1", "demonstrations")]
    first, second = estimate(experiments, rates, tmp_path)
    (alone,) = estimate(experiments[1:], rates, tmp_path)
    assert first.minutes(1) == pytest.approx(2 * first.minutes(2))
    assert alone.pictures == second.pictures + 4 * 504
    assert alone.teaching > second.teaching == 0
