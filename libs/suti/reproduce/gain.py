"""How strictly should what experts drew be filtered by gain (SuTI, figure 5 and section 3.2)?

Experts must sometimes fail for a filter to matter. In real life they do by themselves; here a known share of them is
tuned for a wrong number of steps.
"""

from functools import partial

from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import lines
from suti.reproduce.judged_lessons import kept_by_filter
from suti.reproduce.scale import Scale
from suti.reproduce.sources import WrongSteps

PERCENTILES = (0, 25, 50, 75, 90)
WRONG = (WrongSteps(share=0.2, steps=10), WrongSteps(share=0.1, steps=480))  # too few, far too many
_TITLE = "How strictly should the experts' drawings be filtered?"


def gain(scale: Scale) -> Experiment:
    """From every gain to one that a tenth passes: what is kept, what of it is right, what is learnt from it."""
    conditions = [_condition(scale, percentile) for percentile in PERCENTILES]
    return Experiment(
        name="gain",
        question=_TITLE,
        conditions=[*bounds(scale), Condition("re-imagen", "", scale.drawings("re-imagen")), *conditions],
        figure=lambda rows: lines(
            rows,
            title=_TITLE,
            across="percentile of gain below which nothing is kept",
            series={"apprentice, on unseen subjects": [(one, f"suti, {_said(one)}") for one in PERCENTILES]},
            more={"right among what is kept": "right_among_kept", "share that is kept": "yield"},
        ),
        about=(
            f"{scale.gain_clusters} experts, of which {_share(WRONG[0])} are tuned for {WRONG[0].steps} steps and "
            f"{_share(WRONG[1])} for {WRONG[1].steps} in place of {scale.expert.steps}. All thresholds see the same "
            "drawings and refuse the same copies of demonstrations, and every apprentice is trained for as many steps."
        ),
        columns=columns(
            "re-imagen",
            "no threshold",
            more={
                "yield": "kept",
                "right_among_kept": "right among kept",
                "wrong_steps_among_kept": "of wrong steps among kept",
            },
        ),
    )


def _condition(scale: Scale, percentile: int) -> Condition:
    taught = [
        scale.taught(seed, clusters=scale.gain_clusters, percentile=percentile, wrong=WRONG) for seed in scale.seeds
    ]
    against = {"re-imagen": "re-imagen"}
    if percentile:
        against["no threshold"] = f"suti, {_said(0)}"
    return Condition(
        "suti",
        _said(percentile),
        scale.drawn_by(taught),
        against=against,
        counted=partial(kept_by_filter, taught[0]),
    )


def _said(percentile: int) -> str:
    return f"above the {percentile}th percentile" if percentile else "no threshold"


def _share(wrong: WrongSteps) -> str:
    return f"{wrong.share:.0%}"
