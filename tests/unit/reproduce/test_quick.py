"""The quick form notices what must not be: missing rows, systems that are not paired, an apprentice no better."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, override

import pytest
from torch import Tensor

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth
from suti.ml.rivals.interface import StepsDone
from suti.ml.rivals.subject import GivenSubject
from suti.ml.rivals.untuned import ContextDrawer, InContext
from suti.ml.subject.files import SubjectModel
from suti.report.facts import Score
from suti.reproduce.conditions import Condition, rows_of
from suti.reproduce.documents import write_documents
from suti.reproduce.drawings import DrawingCell, Truth, draw_parts
from suti.reproduce.experiment import Experiment, columns
from suti.reproduce.figures import bars
from suti.reproduce.quick import (
    ReproductionFailed,
    quick_scale,
    require_noise,
    require_order,
    require_pairs,
    require_rows,
)
from suti.reproduce.rival_steps import steps_of
from suti.reproduce.rows import Row, score_row
from suti.reproduce.scale import packaged
from suti.reproduce.scoring import score, unscored
from suti.reproduce.subject_sets import SubjectSet
from suti.reproduce.work import Work


def _cell(rival: str, *, seed: int = 0) -> DrawingCell:
    truth = Truth.model_validate({"rival": rival})
    return DrawingCell(system=rival, rival=truth, subjects=SubjectSet(subjects=1, pictures_each=1, seed=seed))


def _experiment(*cells: DrawingCell) -> Experiment:
    return Experiment(
        name="small",
        question="Who?",
        conditions=[Condition(cell.system, "", (cell,)) for cell in cells],
        figure=lambda rows: bars(rows, title="Who?"),
        about="",
        columns=columns(),
    )


def _row(system: str, mean: float) -> Row:
    names = {"experiment": "table1", "condition": "", "system": system, "protocol_id": "", "seeds": 1}
    return score_row(Score(mean=mean, low=mean, high=mean, n=12), **names, metric="identified_16way")


def _run(experiment: Experiment, work: Work) -> None:
    for condition in experiment.conditions:
        for cell in condition.drawings:
            draw_parts(cell, cell.missing(work.out), work.out)
            for place in unscored(cell, work.out):
                score(cell, place, work.out)
    write_documents(experiment, rows_of(experiment.name, experiment.conditions, work.out), work)


def test_whole_rows_of_paired_systems_pass_and_systems_of_other_subjects_do_not(tmp_path: Path) -> None:
    work = Work(out=tmp_path / "out", results=tmp_path / "results", processes=1, deadline=time.monotonic() + 60)
    paired, apart = (_experiment(_cell("real"), _cell("stranger", seed=seed)) for seed in (0, 1))
    _run(paired, work)
    require_rows(paired, work.results)
    require_pairs(paired, work.out)

    _run(apart, work)
    with pytest.raises(ReproductionFailed, match="other prompts or seeds"):
        require_pairs(apart, work.out)


def test_a_cell_that_was_not_run_is_noticed(tmp_path: Path) -> None:
    work = Work(out=tmp_path / "out", results=tmp_path / "results", processes=1, deadline=time.monotonic() + 60)
    experiment = _experiment(_cell("real"))
    write_documents(experiment, rows_of(experiment.name, experiment.conditions, work.out), work)
    with pytest.raises(ReproductionFailed, match="has no figure"):
        require_rows(experiment, work.results)


class Deaf(InContext):
    """A rival that draws from the noise of its choice."""

    @override
    def prepare(
        self, start: SubjectModel, subject: GivenSubject, *, seed: int, callback: StepsDone | None = None
    ) -> ContextDrawer:
        return _DeafDrawer(start, None)


class _DeafDrawer(ContextDrawer):
    @override
    def draw(self, prompts: Sequence[str], seeds: Sequence[int], *, recipe: SamplingRecipe) -> Tensor:
        return super().draw(prompts, [seed + 1 for seed in seeds], recipe=recipe)


def test_a_drawer_that_takes_other_noise_than_it_was_given_is_noticed(tmp_path: Path) -> None:
    shown = [_drawn_by(InContext(rival="re-imagen"), shown=count) for count in (0, 1, 3)]
    tuned = _drawn_by(DreamBooth(identifier="", prior_pictures=0), source="base")
    require_noise(_experiment(*shown, tuned), tmp_path)

    with pytest.raises(ReproductionFailed, match="other noise"):
        require_noise(_experiment(*shown, _drawn_by(Deaf(), system="deaf")), tmp_path)


def _drawn_by(
    rival: AnyRival, *, shown: int = 4, system: str = "", source: Literal["warmstart", "base"] = "warmstart"
) -> DrawingCell:
    return DrawingCell(
        system=system or rival.rival,
        rival=rival,
        source=packaged(source),
        shown=shown,
        subjects=SubjectSet(subjects=1, pictures_each=2),
        sampling=SamplingRecipe(sampler="dpmsolver++", steps=2, guidance=2.0),
    )


def test_an_apprentice_no_better_than_the_base_is_noticed() -> None:
    require_order([_row("suti", 0.5), _row("base", 0.1)])
    with pytest.raises(ReproductionFailed, match="apart"):
        require_order([_row("suti", 0.25), _row("base", 0.1)])


def test_the_quick_form_is_small_in_everything() -> None:
    scale = quick_scale()
    assert scale.subjects * scale.pictures_each * len(scale.seeds) <= 20
    assert scale.clusters <= 8
    assert max(steps_of(rival) for rival in scale.rivals.values()) <= 10
