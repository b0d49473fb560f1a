"""Table 1: who draws an unseen subject best (SuTI, table 1), and how long it takes to the first picture."""

from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import bars
from suti.reproduce.scale import Scale

_SYSTEMS = ("suti", "dream-suti", "dreambooth", "lora", "textual-inversion", "re-imagen", "base")
_TITLE = "Who draws a subject it never saw?"


def table1(scale: Scale) -> Experiment:
    """Every rival on the same subjects, prompts and noise."""
    real, chance = bounds(scale)
    conditions = [real, *(_condition(scale, system) for system in _SYSTEMS), chance]
    return Experiment(
        name="table1",
        question=_TITLE,
        conditions=conditions,
        figure=lambda rows: bars(rows, title=_TITLE),
        about=(
            "Every system draws the same unseen subjects for the same prompts from the same noise, with the same "
            "sampler and guidance. Four pictures of a subject are shown to those that look, and tuned on by those that "
            "tune. `real` are exact renders of the subject, `chance` those of another of its class."
        ),
        columns=columns("re-imagen", "dreambooth"),
    )


def _condition(scale: Scale, system: str) -> Condition:
    against = {other: other for other in ("re-imagen", "dreambooth", "suti") if other != system}
    if system not in {"suti", "dream-suti"}:
        against = {}
    return Condition(system, "", scale.drawings(system), against=against)
