"""Which guidance does the apprentice want: one weight for the text, one for the subject?"""

from itertools import product

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.reproduce.conditions import Condition
from suti.reproduce.experiment import Experiment, bounds, columns
from suti.reproduce.figures import grid
from suti.reproduce.scale import Scale

WEIGHTS = (1.0, 2.0, 4.0)
_TITLE = "How strongly should text and subject guide?"


def guidance(scale: Scale) -> Experiment:
    """A grid of both weights; on its diagonal they are one."""
    conditions = [
        Condition("suti", _said(text, subject), scale.drawings("suti", sampling=_guided(scale, text, subject)))
        for text, subject in product(WEIGHTS, WEIGHTS)
    ]
    return Experiment(
        name="guidance",
        question=_TITLE,
        conditions=[*bounds(scale), *conditions],
        figure=lambda rows: grid(
            rows,
            title=_TITLE,
            places={(text, subject): f"suti, {_said(text, subject)}" for text, subject in product(WEIGHTS, WEIGHTS)},
        ),
        about=(
            "x_free + w_text (x_text - x_free) + w_subject (x_both - x_text): three branches, two weights. Where both "
            "are equal this is guidance with one weight; 1 is none."
        ),
        columns=columns(),
    )


def _said(text: float, subject: float) -> str:
    return f"text {text:g}, subject {subject:g}"


def _guided(scale: Scale, text: float, subject: float) -> SamplingRecipe:
    if text == subject:  # two equal weights are one
        return scale.sampling.model_copy(update={"guidance": text})
    return scale.sampling.model_copy(update={"guidance": text, "subject_guidance": subject})
