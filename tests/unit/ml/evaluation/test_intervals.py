import random
import statistics
from collections.abc import Callable

import pytest
from scipy import stats

from suti.core.errors import InvalidArgument
from suti.ml.evaluation.intervals import bootstrap_mean, paired_difference


def test_an_interval_agrees_with_scipys_bootstrap() -> None:
    choose = random.Random(1)
    values = [choose.gauss(0.3, 1.0) for _ in range(200)]

    ours = bootstrap_mean(values, resamples=8000)

    theirs = stats.bootstrap(
        (values,), statistics.fmean, n_resamples=8000, method="percentile", rng=7, vectorized=False
    )
    assert ours.mean == pytest.approx(statistics.fmean(values))
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)
    assert ours.n == 200


def test_alike_pictures_of_one_subject_do_not_narrow_an_interval() -> None:
    subjects = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    values = [value for value in subjects for _ in range(25)]
    names = [str(number) for number in range(8) for _ in range(25)]

    grouped, loose = bootstrap_mean(values, groups=names), bootstrap_mean(values)

    one_each = bootstrap_mean(subjects)
    assert (grouped.low, grouped.high) == pytest.approx((one_each.low, one_each.high))
    assert grouped.high - grouped.low > 3 * (loose.high - loose.low)


def test_a_constant_difference_has_an_interval_of_no_width_whatever_the_spread_of_the_values() -> None:
    one = [0.1, 0.9, 0.4, 0.7]

    difference = paired_difference([value + 0.25 for value in one], one)

    assert (difference.low, difference.mean, difference.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_same_values_give_the_same_interval() -> None:
    assert bootstrap_mean([0.1, 0.5, 0.9]) == bootstrap_mean([0.1, 0.5, 0.9])


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_mean([]),
        lambda: bootstrap_mean([0.1, 0.2], groups=["a"]),
        lambda: paired_difference([0.1], [0.1, 0.2]),
    ],
)
def test_values_that_do_not_fit_together_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument):
        call()
