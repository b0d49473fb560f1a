import dataclasses
import math

import pytest

from suti.ml.quality.recipe import FilterRecipe
from suti.ml.quality.verdicts import FAILED, Reason, Scores, judge, policy_digest

GOOD = Scores(gain=0.05, prompt_similarity=0.3, copy_similarity=0.8, copy_difference=0.3)


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (GOOD, Reason.KEPT),
        (dataclasses.replace(GOOD, gain=0.02), Reason.GAIN_TOO_LOW),  # above lambda, not at it
        (dataclasses.replace(GOOD, gain=-0.4), Reason.GAIN_TOO_LOW),
        (dataclasses.replace(GOOD, copy_similarity=0.98), Reason.KEPT),
        (dataclasses.replace(GOOD, copy_similarity=0.981), Reason.COPY_OF_DEMONSTRATION),
        (dataclasses.replace(GOOD, copy_difference=0.001), Reason.COPY_OF_DEMONSTRATION),
        # A copy's gain is never above zero, so the copy is named first.
        (
            Scores(gain=0.0, prompt_similarity=0.3, copy_similarity=1.0, copy_difference=0.0),
            Reason.COPY_OF_DEMONSTRATION,
        ),
        (FAILED, Reason.PICTURE_FAILED),
        (dataclasses.replace(GOOD, gain=math.nan), Reason.PICTURE_FAILED),
        (dataclasses.replace(GOOD, copy_similarity=math.inf), Reason.PICTURE_FAILED),
    ],
)
def test_the_first_rule_that_refuses_names_the_reason(scores: Scores, reason: Reason) -> None:
    assert judge(scores, FilterRecipe()) is reason


def test_another_threshold_judges_otherwise() -> None:
    assert judge(GOOD, FilterRecipe(min_gain=0.06)) is Reason.GAIN_TOO_LOW
    assert judge(GOOD, FilterRecipe(max_copy_similarity=0.7)) is Reason.COPY_OF_DEMONSTRATION
    assert judge(GOOD, FilterRecipe(min_subject_similarity=0.81)) is Reason.UNLIKE_SUBJECT
    assert judge(GOOD, FilterRecipe(min_subject_similarity=0.8)) is Reason.KEPT


def test_the_policy_digest_follows_all_that_decides_and_nothing_else() -> None:
    plain = policy_digest(FilterRecipe(), clip_sha256="a")

    assert policy_digest(FilterRecipe(batch_pictures=3), clip_sha256="a") == plain
    others = [
        policy_digest(FilterRecipe(), clip_sha256="b"),
        policy_digest(FilterRecipe(min_gain=0.01), clip_sha256="a"),
        policy_digest(FilterRecipe(max_copy_similarity=0.9), clip_sha256="a"),
        policy_digest(FilterRecipe(min_copy_difference=0.1), clip_sha256="a"),
        policy_digest(FilterRecipe(min_subject_similarity=0.5), clip_sha256="a"),
    ]
    assert len({plain, *others}) == 6
