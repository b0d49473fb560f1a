"""Every experiment: three seeds, five hundred pictures a cell, shared drawings, documents before anything is run."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from suti.reproduce.all_experiments import EXPERIMENTS, OF_ANY_APPRENTICE
from suti.reproduce.conditions import METRICS, rows_of
from suti.reproduce.documents import write_documents
from suti.reproduce.estimate import Rates, as_plan, estimate
from suti.reproduce.recipes import said_recipes
from suti.reproduce.running import drawings_of
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Given, Taught, results_folder
from suti.reproduce.superres import left_of_superres
from suti.reproduce.work import Work
from tests.models.subject_models import save_tiny_subject_model
from tests.unit.reproduce.lessons import a_lesson

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
    work = Work(out=tmp_path / "out", results=tmp_path / "results", processes=1, deadline=time.monotonic())
    rows = rows_of(name, experiment.conditions, work.out)

    write_documents(experiment, rows, work)

    assert len(rows) == len(experiment.conditions) * len(METRICS)
    assert {row["mean"] for row in json.loads((work.results / f"{name}.json").read_bytes())["rows"]} == {None}
    assert (work.results / f"{name}.md").read_text().count("not run") >= len(experiment.conditions)
    assert (work.results / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_table_one_has_every_system_of_the_paper_and_ours() -> None:
    systems = [one.system for one in EXPERIMENTS["table1"](SCALE).conditions]
    assert sorted(systems) == sorted(
        [
            *("real", "suti", "dream-suti", "dreambooth", "dreambooth-plain", "lora", "textual-inversion"),
            *("re-imagen", "re-imagen-longer", "base", "chance"),
        ]
    )


def test_what_experts_add_is_told_from_what_training_adds() -> None:
    conditions = {one.name: one for one in EXPERIMENTS["table1"](SCALE).conditions}
    assert conditions["suti"].against["re-imagen-longer"] == "re-imagen-longer"
    for own, control in zip(conditions["suti"].taught, conditions["re-imagen-longer"].taught, strict=True):
        assert control == own.model_copy(update={"targets": "own"})


def test_trainings_are_counted_not_subject_sets() -> None:
    counted = {one.system: one.trainings for one in EXPERIMENTS["table1"](SCALE).conditions}
    assert {
        system: counted[system] for system in ("real", "base", "re-imagen", "suti", "re-imagen-longer", "lora")
    } == {
        "real": 0,
        "base": 1,
        "re-imagen": 1,
        "suti": 3,
        "re-imagen-longer": 3,
        "lora": 3,
    }


def test_every_percentile_refuses_the_same_copies() -> None:
    taught = [one for condition in EXPERIMENTS["gain"](SCALE).conditions for one in condition.taught]
    filters = [one.filter([a_lesson(0.0, 0.1, 0.4)]) for one in taught]
    assert len({one.min_gain for one in filters}) == 5
    assert {(one.max_copy_similarity, one.min_copy_difference) for one in filters} == {(0.999, 0.02)}


def test_a_page_says_how_each_rival_differs_from_its_paper() -> None:
    said = said_recipes(EXPERIMENTS["table1"](SCALE).conditions)
    (plain,) = [line for line in said.splitlines() if line.startswith("- `dreambooth-plain`")]
    (dream,) = [line for line in said.splitlines() if line.startswith("- `dream-suti`")]
    assert "identifier none (sks), prior_pictures 0 (1000)" in plain
    assert "prior_sampling" not in plain  # without prior pictures nothing is sampled
    assert "shown 1" in dream.split("unlike its default")[0]
    assert len([line for line in said.splitlines() if line.startswith("- `suti`")]) == 1


def test_a_given_apprentice_has_pages_of_its_own_that_name_it(tmp_path: Path) -> None:
    given = Given.take(save_tiny_subject_model(tmp_path / "theirs"), tmp_path / "out")
    results = results_folder(given, tmp_path / "out")
    work = Work(out=tmp_path / "out", results=results, processes=1, deadline=time.monotonic())
    experiment = EXPERIMENTS["guidance"](replace(SCALE, given=given))

    write_documents(experiment, rows_of("guidance", experiment.conditions, work.out), work)

    assert results != results_folder(None, tmp_path / "out") == Path("docs/results")
    assert given.sha256 in (results / "guidance.md").read_text()
    assert "re-imagen-longer" not in [
        one.system for one in EXPERIMENTS["table1"](replace(SCALE, given=given)).conditions
    ]


def test_experiments_that_teach_their_own_measure_no_given_apprentice(tmp_path: Path) -> None:
    given = Given.take(save_tiny_subject_model(tmp_path / "theirs"), tmp_path / "out")
    for name, experiment in EXPERIMENTS.items():
        sources = [cell.source for cell in drawings_of(experiment(replace(SCALE, given=given)).conditions)]
        teaches = any(isinstance(one, Taught) for one in sources)
        assert (name in OF_ANY_APPRENTICE) is (given in sources and not teaches)


def test_a_plan_names_what_it_does_not_time(tmp_path: Path) -> None:
    left = {"superres": left_of_superres(tmp_path)}
    said = as_plan([], 2, left)
    assert "27 of 27 cells" in left["superres"]
    assert left["superres"] in said
    assert "without superres" in said.splitlines()[-1]


def test_experiments_share_what_table_one_drew() -> None:
    drawn = set(drawings_of(EXPERIMENTS["table1"](SCALE).conditions))
    for name, shared in (("demonstrations", 4), ("guidance", 3), ("skills", 4), ("gain", 3), ("dream-steps", 4)):
        common = drawn & set(drawings_of(EXPERIMENTS[name](SCALE).conditions))
        assert len(common) >= 3 * shared, name  # three seeds of each


def test_a_plan_knows_that_more_steps_of_a_sampler_take_longer(tmp_path: Path) -> None:
    few, many = (
        estimate([EXPERIMENTS["samplers"](SCALE)], _rates(measured=0.0, sampling_steps=steps), tmp_path)[0]
        for steps in (256, 32)  # of the pictures that were timed
    )

    assert many.minutes(1) == pytest.approx(8 * few.minutes(1))


def test_a_plan_counts_shared_work_once(tmp_path: Path) -> None:
    rates = _rates()
    experiments = [EXPERIMENTS[name](SCALE) for name in ("table1", "demonstrations")]
    first, second = estimate(experiments, rates, tmp_path)
    (alone,) = estimate(experiments[1:], rates, tmp_path)
    assert first.minutes(1) == pytest.approx(2 * first.minutes(2))
    assert alone.pictures == second.pictures + 4 * 504
    assert alone.teaching > second.teaching == 0


def _rates(*, sampling_steps: int = 14, measured: float = 1.0) -> Rates:
    step = {"lora": 0.1, "dream-suti": 0.1}
    return Rates(picture=0.5, plain_picture=0.25, sampling_steps=sampling_steps, measured=measured, step=step)
