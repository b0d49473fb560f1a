"""Table 1: who draws an unseen subject best (SuTI, table 1), and how long it takes to the first picture."""

from collections.abc import Sequence

from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import bars
from suti.reproduce.scale import Scale

_SYSTEMS = (
    "suti",
    "dream-suti",
    "dreambooth",
    "dreambooth-plain",
    "lora",
    "textual-inversion",
    "re-imagen-longer",
    "re-imagen",
    "base",
)
_COMPARED = ("re-imagen-longer", "re-imagen", "dreambooth", "suti")
_TITLE = "Who draws a subject it never saw?"


def table1(scale: Scale) -> Experiment:
    """Every rival on the same subjects, prompts and noise."""
    real, chance = bounds(scale)
    # How long a model from elsewhere was trained is not known, so nothing else can be trained for as long.
    systems = [one for one in _SYSTEMS if scale.given is None or one != "re-imagen-longer"]
    conditions = [real, *(_condition(scale, system, systems) for system in systems), chance]
    return Experiment(
        name="table1",
        question=_TITLE,
        conditions=conditions,
        figure=lambda rows: bars(rows, title=_TITLE),
        about=(
            "Every system draws the same unseen subjects for the same prompts from the same noise, with the same "
            "sampler and guidance. Every system is handed four pictures of a subject: rivals that tune learn from "
            "all of them, and those that look are shown as many as their recipe takes (`shown` below). What learning "
            "from experts adds is `suti` minus `re-imagen-longer`: the same start and as many steps, on raw clusters. "
            "`real` are exact renders of the subject, `chance` those of another of its class."
        ),
        columns=columns(*(one for one in _COMPARED[:-1] if one in systems)),
    )


def _condition(scale: Scale, system: str, systems: Sequence[str]) -> Condition:
    against = {other: other for other in _COMPARED if other != system and other in systems}
    if system not in {"suti", "dream-suti"}:
        against = {}
    return Condition(system, "", scale.drawings(system), against=against)
