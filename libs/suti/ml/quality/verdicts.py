"""From scores to verdicts: pure, so that candidates can be judged again at another threshold without a model."""

import hashlib
import json
import math
from dataclasses import dataclass
from enum import StrEnum

from suti.ml.quality.recipe import FilterRecipe

_POLICY_VERSION = 2  # raised when the meaning of a score or the order of the rules changes


class Reason(StrEnum):
    """Why a candidate was kept or refused. The first rule that refuses names the reason."""

    KEPT = "KEPT"
    PICTURE_FAILED = "PICTURE_FAILED"
    COPY_OF_DEMONSTRATION = "COPY_OF_DEMONSTRATION"
    UNLIKE_SUBJECT = "UNLIKE_SUBJECT"
    GAIN_TOO_LOW = "GAIN_TOO_LOW"


@dataclass(frozen=True, slots=True)
class Scores:
    """What was measured of one candidate. A picture that could not be judged has `failed` and the worst scores."""

    gain: float  # in [-2, 2]
    prompt_similarity: float  # in [-1, 1]
    copy_similarity: float  # to the nearest demonstration, in [-1, 1]
    copy_difference: float  # in [0, 1]
    failed: bool = False


FAILED = Scores(gain=-2.0, prompt_similarity=-1.0, copy_similarity=-1.0, copy_difference=1.0, failed=True)


def judge(scores: Scores, recipe: FilterRecipe) -> Reason:
    """Kept only if it shows something, neither copies a demonstration nor is unlike all, and gains more than lambda."""
    numbers = (scores.gain, scores.prompt_similarity, scores.copy_similarity, scores.copy_difference)
    if scores.failed or not all(math.isfinite(number) for number in numbers):
        return Reason.PICTURE_FAILED
    if scores.copy_similarity > recipe.max_copy_similarity or scores.copy_difference < recipe.min_copy_difference:
        return Reason.COPY_OF_DEMONSTRATION
    if scores.copy_similarity < recipe.min_subject_similarity:
        return Reason.UNLIKE_SUBJECT
    return Reason.KEPT if scores.gain > recipe.min_gain else Reason.GAIN_TOO_LOW


def policy_digest(recipe: FilterRecipe, *, clip_sha256: str) -> str:
    """SHA-256 (hex) of everything that decides a verdict: thresholds, the CLIP they belong to, the rules' version.

    How many pictures are scored at once is no part of it.
    """
    policy = {
        "version": _POLICY_VERSION,
        "clip": clip_sha256,
        "thresholds": recipe.model_dump(exclude={"batch_pictures"}),
    }
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()
