"""A filter by the gains of a set of lessons: a percentile says how many pass, whatever the CLIP."""

from collections.abc import Sequence

import numpy as np

from suti.ml.quality.recipe import FilterRecipe
from suti.reproduce.lessons import Lesson

# What refuses nothing but blank pictures.
_NO_FILTER = FilterRecipe(min_gain=-2, max_copy_similarity=1, min_copy_difference=0)


def filter_at(lessons: Sequence[Lesson], percentile: int) -> FilterRecipe:
    """What keeps the candidates whose gain lies above this percentile of all; 0 keeps everything but blank pictures."""
    if percentile == 0:
        return _NO_FILTER
    gains = [one.gain for lesson in lessons for one in lesson.scores if one.gain > _NO_FILTER.min_gain]
    return FilterRecipe(min_gain=float(np.percentile(gains, percentile)), max_copy_similarity=0.999)
