"""How few steps of a solver are as good as 256 of DDPM, which the paper draws with (SuTI, section 5)?"""

from collections.abc import Mapping, Sequence

from suti.ml.diffusion.recipe import SamplerName
from suti.reproduce.conditions import Condition
from suti.reproduce.drawings import DrawingCell
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import lines
from suti.reproduce.rows import Row
from suti.reproduce.scale import Scale

STEPS = (4, 6, 8, 10, 14, 20, 32)
SOLVERS: tuple[SamplerName, ...] = ("dpmsolver++", "unipc")
SYSTEM = "re-imagen"  # it comes along: no apprentice has to be taught first
SHARE = 0.99
REFERENCE = "ddpm, 256 steps"
_METRICS: Mapping[str, str] = {"identified_16way": "identification", "clip_t": "CLIP-T", "dino": "DINO"}
_TITLE = "How many steps does a picture take?"


def samplers(scale: Scale) -> Experiment:
    """DDPM with 256 steps, and two solvers with a few, all from the same noise."""
    reference = Condition(SYSTEM, REFERENCE, _drawings(scale, "ddpm", 256))
    conditions = [
        Condition(
            SYSTEM, said(solver, steps), _drawings(scale, solver, steps), against={"ddpm": f"{SYSTEM}, {REFERENCE}"}
        )
        for solver in SOLVERS
        for steps in STEPS
    ]
    return Experiment(
        name="samplers",
        question=_TITLE,
        conditions=[*bounds(scale), reference, *conditions],
        figure=lambda rows: lines(
            rows,
            title=_TITLE,
            across="steps of the solver",
            series={solver: [(steps, f"{SYSTEM}, {said(solver, steps)}") for steps in STEPS] for solver in SOLVERS},
        ),
        about=(
            "The warm start draws the same prompts from the same noise with each sampler. A number of steps is "
            f"enough where its score, and that of every larger number, is at least {SHARE:.0%} of DDPM's with 256."
        ),
        columns=columns("ddpm"),
        finding=finding,
    )


def said(sampler: SamplerName, steps: int) -> str:
    """A sampler with its steps, as rows call it."""
    return f"{sampler}, {steps} steps"


def enough(rows: Sequence[Row], solver: SamplerName, metric: str) -> int | None:
    """The fewest steps from which on the solver's mean is never below SHARE of the reference's.

    None where even the most are too few, or something was not run.
    """
    means = {row.condition: row.mean for row in rows if row.system == SYSTEM and row.metric == metric}
    wanted = means.get(REFERENCE)
    found = [means.get(said(solver, steps)) for steps in STEPS]
    if wanted is None or None in found:
        return None
    fits = [mean is not None and mean >= SHARE * wanted for mean in found]
    return next((steps for place, steps in enumerate(STEPS) if all(fits[place:])), None)


def finding(rows: Sequence[Row]) -> str:
    """What the rows say of each solver, in a line each."""
    said_of = [
        f"- {solver}: {', '.join(f'{name} {_told(rows, solver, metric)}' for metric, name in _METRICS.items())}"
        for solver in SOLVERS
    ]
    return "\n".join(["Steps that are enough:", "", *said_of])


def _told(rows: Sequence[Row], solver: SamplerName, metric: str) -> str:
    own = [row for row in rows if row.system == SYSTEM and row.metric == metric]
    if not own or any(row.mean is None for row in own):
        return "not run"
    steps = enough(rows, solver, metric)
    return f"not even with {STEPS[-1]}" if steps is None else f"from {steps} steps on"


def _drawings(scale: Scale, sampler: SamplerName, steps: int) -> tuple[DrawingCell, ...]:
    sampling = scale.sampling.model_copy(update={"sampler": sampler, "steps": steps})
    return scale.drawings(SYSTEM, sampling=sampling)
