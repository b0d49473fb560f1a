"""How long experiments would take on this machine: a little of each kind of work is timed, the rest is counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suti.ml.diffusion.pixels import to_pixels
from suti.ml.rivals.fine_tuned import DreamBooth
from suti.ml.subject.files import load_subject_model
from suti.reproduce.drawings import DrawingCell, Truth, given_subject
from suti.reproduce.experiment import Experiment
from suti.reproduce.lesson_sets import LessonSet
from suti.reproduce.metrics import all_metrics
from suti.reproduce.rival_steps import steps_of, with_steps
from suti.reproduce.running import all_taught, drawings_of
from suti.reproduce.scale import Scale, packaged
from suti.reproduce.scoring import unscored
from suti.reproduce.sources import Taught, is_ready

_TIMED_STEPS = 4
_TOGETHER = 1.75  # how much faster sixteen experts with adapters are tuned in one batch: `make bench`
_CANDIDATES = 8  # that an expert draws: four prompts, two samples


@dataclass(frozen=True)
class Rates:
    """Seconds of one core for one of each."""

    picture: float  # drawn with demonstrations, in as many steps as `sampling_steps`
    plain_picture: float  # drawn without
    sampling_steps: int
    measured: float  # one subject's pictures by all metrics
    step: Mapping[str, float]  # of tuning, by rival


@dataclass(frozen=True)
class Estimate:
    """What is left to do of an experiment, in seconds of one core."""

    name: str
    pictures: int
    teaching: float  # lessons and trainings
    drawing: Mapping[str, float]  # tuning, drawing, measuring, by system

    def minutes(self, processes: int) -> float:
        """On so many cores that do nothing else."""
        return (self.teaching + sum(self.drawing.values())) / 60 / processes


def measure_rates(scale: Scale, out: Path) -> Rates:
    """Some seconds of this thread."""
    models = {name: load_subject_model(packaged(name).folder(out)) for name in ("base", "warmstart")}
    for model in models.values():
        model.network.eval().requires_grad_(requires_grad=False)
    asked = scale.set_of(scale.seeds[0]).asked(0)
    subject = given_subject(asked, 4, models["base"].base.size_px)
    prompts, recipe = [asked.wanted.text] * len(asked.seeds), scale.sampling

    def picture(system: str, start: str) -> float:
        drawer = scale.rivals[system].prepare(models[start], subject, seed=0)
        return _seconds(lambda: drawer.draw(prompts, asked.seeds, recipe=recipe)) / len(prompts)

    def step(system: str, start: str) -> float:
        few = with_steps(scale.rivals[system], _TIMED_STEPS)
        return _seconds(lambda: few.prepare(models[start], subject, seed=0)) / _TIMED_STEPS

    drawn_NCHW = (
        scale.rivals["base"]
        .prepare(models["base"], subject, seed=0)
        .draw(prompts, asked.seeds, recipe=recipe.model_copy(update={"steps": 2}))
    )
    return Rates(
        picture=picture("re-imagen", "warmstart"),
        plain_picture=picture("base", "base"),
        sampling_steps=recipe.steps,
        measured=sum(_seconds(lambda one=one: one.measure(asked, to_pixels(drawn_NCHW))) for one in all_metrics()),
        step={
            "textual-inversion": step("textual-inversion", "base"),
            "dreambooth": step("dreambooth-plain", "base"),  # without prior pictures, which `_cell` counts
            "lora": step("lora", "base"),
            "dream-suti": step("dream-suti", "warmstart"),
        },
    )


def estimate(experiments: Sequence[Experiment], rates: Rates, out: Path) -> list[Estimate]:
    """What is left of each; what several need is counted where it comes first."""
    known: set[str] = set()
    found: list[Estimate] = []
    for one in experiments:
        cells = [cell for cell in drawings_of(one.conditions) if cell.name not in known]
        asked = [each for each in all_taught(one.conditions) if str(each.folder(out)) not in known]
        taught = [each for each in asked if not is_ready(each, out)]
        known |= {cell.name for cell in cells} | {str(each.folder(out)) for each in taught}
        lessons = {
            str(lessons.path(out, number)): lessons
            for each in taught
            for lessons, numbers in each.wanted().items()
            for number in numbers
            if not lessons.path(out, number).exists() and str(lessons.path(out, number)) not in known
        }
        known |= set(lessons)
        found.append(
            Estimate(
                one.name,
                pictures=sum(len(cell.missing(out)) * cell.subjects.pictures_each for cell in cells),
                teaching=sum(_lesson(one, rates) for one in lessons.values())
                + sum(_training(each, rates) for each in taught),
                drawing=_by_system(cells, rates, out),
            )
        )
    return found


def _by_system(cells: Sequence[DrawingCell], rates: Rates, out: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for cell in cells:
        found[cell.system] = found.get(cell.system, 0.0) + _cell(cell, rates, out)
    return found


def as_plan(found: Sequence[Estimate], processes: int, untimed: Mapping[str, str] | None = None) -> str:
    """A line for each experiment, and each system's share of its minutes.

    `untimed`: what is left of experiments whose work is not timed, by name; the sum says that it lacks them.
    """
    lines = [f"{name:15s} not timed: {left}\n" for name, left in (untimed or {}).items()]
    for one in found:
        lines.append(f"{one.name:15s} {one.minutes(processes):5.0f} minutes {one.pictures:6d} pictures\n")
        parts = {"lessons and apprentices": one.teaching, **one.drawing}
        lines += [f"    {name:24s} {part / 60 / processes:5.0f}\n" for name, part in parts.items() if part > 30]
    total = sum(one.minutes(processes) for one in found)
    without = f", without {' and '.join(untimed)}" if untimed else ""
    return "".join(lines) + f"{'in all':15s} {total:5.0f} minutes on {processes} cores that do nothing else{without}\n"


def _cell(cell: DrawingCell, rates: Rates, out: Path) -> float:
    measuring = cell.subjects.subjects * rates.measured if unscored(cell, out) else 0.0
    if isinstance(cell.rival, Truth):
        return measuring
    sees = cell.shown > 0 and cell.rival.rival in {"suti", "re-imagen", "dream-suti"}
    cost = 0.0
    if cell.sampling is not None:
        branches = 1.5 if cell.sampling.subject_guidance is not None else 1.0
        cost = branches * cell.sampling.steps / rates.sampling_steps
    drawing = cell.subjects.pictures_each * cost * (rates.picture if sees else rates.plain_picture)
    tuning = steps_of(cell.rival) * rates.step.get(cell.rival.rival, 0.0)
    if isinstance(cell.rival, DreamBooth) and cell.rival.prior_pictures:
        tuning = 2 * tuning + cell.rival.prior_pictures * rates.plain_picture
    return measuring + len(cell.missing(out)) * (drawing + tuning)


def _lesson(lessons: LessonSet, rates: Rates) -> float:
    """A true render is drawn in no time."""
    if lessons.teacher == "renders":
        return 0.0
    return lessons.expert.steps * rates.step["lora"] / _TOGETHER + _CANDIDATES * rates.plain_picture


def _training(taught: Taught, rates: Rates) -> float:
    """A step of the apprentice is as many steps of Dream-SuTI, of four pairs each, as it has fours of targets."""
    targets = taught.recipe.batch_subjects * taught.recipe.targets_per_subject
    return taught.recipe.steps * rates.step["dream-suti"] * targets / 4


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
