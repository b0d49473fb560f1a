"""How many demonstrations does it take (SuTI, figure 6)?"""

from suti.ml.rivals.untuned import InContext
from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import lines
from suti.reproduce.scale import Scale
from suti.reproduce.subject_sets import MOST_DEMONSTRATIONS

_TITLE = "How many pictures of a subject does it take?"


def demonstrations(scale: Scale) -> Experiment:
    """Zero to five demonstrations; each count begins with those of the count below it."""
    counts = range(MOST_DEMONSTRATIONS + 1)
    conditions = [_condition(scale, system, count) for system in ("suti", "re-imagen") for count in counts]
    return Experiment(
        name="demonstrations",
        question=_TITLE,
        conditions=[*bounds(scale), *conditions],
        figure=lambda rows: lines(
            rows,
            title=_TITLE,
            across="demonstrations shown",
            series={
                system: [(count, f"{system}, {_said(count)}") for count in counts] for system in ("suti", "re-imagen")
            },
        ),
        about=(
            "Prompt and noise of a picture are settled before its demonstrations, and fewer of them are the first of "
            "more: all counts are paired. Likeness is measured against the same four pictures, whatever was shown."
        ),
        columns=columns("one fewer", "1 demonstration"),
    )


def _condition(scale: Scale, system: str, count: int) -> Condition:
    more = count > _most(scale, system)
    rival = scale.rivals[system].model_copy(update={"shown": count}) if more else None
    against = {"one fewer": f"{system}, {_said(count - 1)}"} if count else {}
    if count > 1:
        against["1 demonstration"] = f"{system}, {_said(1)}"
    return Condition(system, _said(count), scale.drawings(system, rival=rival, shown=count), against=against)


def _most(scale: Scale, system: str) -> int:
    """How many demonstrations the rival's recipe takes."""
    rival = scale.rivals[system]
    return rival.shown if isinstance(rival, InContext) else 0


def _said(count: int) -> str:
    return f"{count} demonstration{'' if count == 1 else 's'}"
