"""A few minutes that check the machinery of the experiments: rows, pairs, noise, repetition, and that seeing helps.

Six steps of training teach nothing: the margin is the warm start's over the base, and is lost where demonstrations no
longer reach the network or the judge no longer tells subjects apart. It says nothing of apprenticeship. What the paper
found is no matter of a few subjects: other orders are recorded by the experiments, not asserted here.
"""

import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from suti.core.errors import PermanentError
from suti.ml.rivals.dream_suti import DreamSuti
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth, Lora
from suti.ml.rivals.textual_inversion import TextualInversion
from suti.ml.subject.files import SubjectModel, load_subject_model
from suti.reproduce.conditions import Condition, rows_of
from suti.reproduce.demonstrations import demonstrations
from suti.reproduce.drawings import Truth, drawn_with, load_part
from suti.reproduce.experiment import Experiment
from suti.reproduce.rival_steps import with_steps
from suti.reproduce.rows import Row
from suti.reproduce.running import drawings_of, reproduce
from suti.reproduce.scale import Scale
from suti.reproduce.scoring import scored
from suti.reproduce.table1 import table1
from suti.reproduce.work import Work

# By which who sees the subject must be above the base, which does not; chance identifies one picture in sixteen.
_MARGIN = 0.2
_AGAIN = ("suti", "textual-inversion")  # trained and drawn twice: one for all subjects, one for each


class ReproductionFailed(PermanentError):
    """The quick form of the experiments found something that must not be."""

    reason = "REPRODUCTION_FAILED"


def quick_scale() -> Scale:
    """Few subjects, a handful of experts, tunings of a few steps."""
    scale = Scale()
    return replace(
        scale,
        subjects=6,
        pictures_each=2,
        seeds=(0,),
        clusters=4,
        expert=scale.expert.model_copy(update={"steps": 12, "together": 4, "samples_per_prompt": 1}),
        apprentice=scale.apprentice.model_copy(update={"steps": 6, "warmup_steps": 1}),
        rivals={name: _small(with_steps(rival, 4)) for name, rival in scale.rivals.items()},
    )


def _small(rival: AnyRival) -> AnyRival:
    if isinstance(rival, DreamBooth) and rival.prior_pictures:
        return rival.model_copy(update={"prior_pictures": 4})
    return rival


def quick_check(out: Path, *, processes: int) -> str:
    """Run Table 1 and the demonstrations in small, from nothing, and say what was found.

    Raises:
        ReproductionFailed: rows lack keys or systems, systems are not paired or draw from other noise, a second run
            differs, or who sees the subject is not above who does not.
    """
    began = time.monotonic()
    scale, results = quick_scale(), out / "quick"
    with tempfile.TemporaryDirectory(prefix="suti-reproduce-") as folder:
        work = Work(out=Path(folder), results=results, processes=processes, deadline=time.monotonic() + 3600)
        experiments = [table1(scale), demonstrations(scale)]
        reproduce(experiments, work)
        for one in experiments:
            require_rows(one, results)
            require_pairs(one, work.out)
            require_noise(one, work.out)
        require_again(experiments[0], work)
        require_order(rows_of("table1", experiments[0].conditions, work.out))
    return f"rows, pairs, noise, repetition and order hold ({time.monotonic() - began:.0f} s); tables in {results}"


def require_rows(experiment: Experiment, results: Path) -> None:
    """Every condition has its rows, with every key and nothing else, and none is without figures."""
    rows = json.loads((results / f"{experiment.name}.json").read_bytes())["rows"]
    for row in rows:
        Row.model_validate(row)
        _require(set(row) == set(Row.model_fields), f"a row of {experiment.name} has the keys {sorted(row)}")
        whole = row["metric"] == "dino" or row["mean"] is not None  # DINO comes along or not
        _require(whole, f"{row['system']}, {row['condition']}: {row['metric']} has no figure")
    found = {(row["system"], row["condition"]) for row in rows}
    missing = {(one.system, one.condition) for one in experiment.conditions} - found
    _require(not missing, f"{experiment.name} has no rows of {sorted(missing)}")


def require_pairs(experiment: Experiment, out: Path) -> None:
    """All conditions were asked for the same subjects, prompts and seeds, and their values can be paired."""
    drawn = {
        cell.name: [
            (part.prompt, tuple(part.seeds))
            for part in (load_part(cell.part(out, number)) for number in range(cell.subjects.subjects))
        ]
        for cell in drawings_of(experiment.conditions)
    }
    keys = {cell.name: {one.key for one in scored(cell, out)} for cell in drawings_of(experiment.conditions)}
    first = next(iter(drawn))
    for name, asked in drawn.items():
        _require(asked == drawn[first], f"{name} and {first} drew other prompts or seeds")
        _require(keys[name] == keys[first], f"{name} and {first} cannot be paired")


def require_noise(experiment: Experiment, out: Path) -> None:
    """All drawers draw from the same noise, whatever they look at or were tuned on.

    Each starts from a network whose last layer is zero, so that it answers nothing: what it draws then is a function of
    the noise that reached its sampler, and of nothing else.
    """
    drawn: dict[str, Tensor] = {}
    for cell in drawings_of(experiment.conditions):
        if cell.source is not None:
            barely = cell.model_copy(update={"rival": _barely_tuned(cell.rival)})
            drawn[cell.name] = drawn_with(
                _silent(cell.source.folder(out)), barely, cell.subjects.asked(0)
            ).pictures_NCHW
    first = next(iter(drawn))
    for name, pictures_NCHW in drawn.items():
        _require(torch.equal(pictures_NCHW, drawn[first]), f"{name} and {first} draw from other noise")


def _silent(folder: Path) -> SubjectModel:
    model = load_subject_model(folder)
    model.network.eval().requires_grad_(requires_grad=False)
    for weight in model.base.unet.conv_out.parameters():
        torch.nn.init.zeros_(weight)
    return model


def _barely_tuned(rival: AnyRival | Truth) -> AnyRival | Truth:
    """One step too small to move anything: the last layer stays as good as zero."""
    still = {"steps": 1, "learning_rate": 1e-12}
    match rival:
        case DreamBooth():
            return rival.model_copy(update={"tuning": rival.tuning.model_copy(update=still), "prior_pictures": 0})
        case Lora():
            return rival.model_copy(update={"tuning": rival.tuning.model_copy(update=still)})
        case TextualInversion() | DreamSuti():
            return rival.model_copy(update=still)
        case _:
            return rival


def require_again(experiment: Experiment, work: Work) -> None:
    """Trained and drawn a second time, the same rows come out, seconds apart."""
    again = [replace(one, against={}) for one in experiment.conditions if one.system in _AGAIN]
    with tempfile.TemporaryDirectory(prefix="suti-reproduce-") as folder:
        other = replace(work, out=Path(folder), results=Path(folder) / "results")
        shutil.copytree(work.out / "lessons", other.out / "lessons")
        reproduce([replace(experiment, conditions=again)], other)
        one, two = _told(again, work.out), _told(again, other.out)
    _require(one == two, f"a second run found other rows: {one} and {two}")


def require_order(rows: list[Row]) -> None:
    """The apprentice, here little more than its warm start, is identified more often than the base, by a margin."""
    found = {row.system: row.mean or 0.0 for row in rows if row.metric == "identified_16way"}
    said = f"{found['suti']:.2f} of the apprentice's pictures are identified, {found['base']:.2f} of the base's"
    _require(found["suti"] >= found["base"] + _MARGIN, f"{said}: less than {_MARGIN} apart")


def _told(conditions: list[Condition], out: Path) -> list[str]:
    rows = rows_of("table1", conditions, out)
    return [row.model_dump_json() for row in rows if not row.metric.startswith("seconds")]


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ReproductionFailed(f"{otherwise}: look at the change that came before, this held at every commit")
