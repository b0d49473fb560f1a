"""What does tuning an apprentice on the subject add (Dream-SuTI; SuTI, table 3), and how soon?"""

from suti.ml.rivals.dream_suti import DreamSuti
from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import lines
from suti.reproduce.scale import Scale

STEPS = (10, 30, 100)
_TITLE = "What does tuning the apprentice on its subject add?"


def dream_steps(scale: Scale) -> Experiment:
    """From no step, which is the apprentice itself, to many."""
    tuned = scale.rivals["dream-suti"]
    if not isinstance(tuned, DreamSuti):
        raise TypeError("the rival of this name is another")
    conditions = [
        Condition(
            "dream-suti",
            f"{steps} steps",
            scale.drawings("dream-suti", rival=tuned.model_copy(update={"steps": steps})),
            against={"suti": "suti, 4 demonstrations", "0 steps": "suti, 0 steps"},
        )
        for steps in STEPS
    ]
    return Experiment(
        name="dream-steps",
        question=_TITLE,
        conditions=[
            *bounds(scale),
            Condition("suti", "4 demonstrations", scale.drawings("suti")),
            Condition("suti", "0 steps", scale.drawings("suti", shown=tuned.shown)),
            *conditions,
        ],
        figure=lambda rows: lines(
            rows,
            title=_TITLE,
            across="steps on the subject's pictures",
            series={
                "dream-suti": [(0, "suti, 0 steps"), *((steps, f"dream-suti, {steps} steps") for steps in STEPS)],
            },
        ),
        about=(
            f"One picture as demonstration, another as target, {tuned.pairs} pairs a step, {tuned.optimizer} at "
            f"{tuned.learning_rate:g}; as many demonstrations as without steps when it draws: {tuned.shown}."
        ),
        columns=columns("suti", "0 steps"),
    )
