"""Means with intervals, by bootstrap over groups: pictures of one subject are alike and count as one throw of the dice.

Legend: N values, G groups, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suti.core.errors import InvalidArgument

_LEVEL = 0.95
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of `n` values, and the bounds between which it lies in 95 of 100 resamples."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(
    values: Sequence[float], *, groups: Sequence[str] = (), resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean with its 95 % percentile interval (Efron and Tibshirani, 1993, chapter 13).

    Whole groups are drawn with replacement, so that alike pictures do not make the interval look narrow; without
    `groups` every value is one of its own. The same arguments give the same interval.

    Raises:
        InvalidArgument: there are no values, or not one group for each.
    """
    means_R = _resampled(values, groups, resamples=resamples, seed=seed)
    return _interval(values, means_R)


def paired_difference(
    one: Sequence[float],
    other: Sequence[float],
    *,
    groups: Sequence[str] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """How much the first mean lies above the second; value i of both belongs to the same subject, prompt and seed.

    Raises:
        InvalidArgument: the two are not of one length, or as `bootstrap_mean` does.
    """
    return bootstrap_mean(_paired(one, other), groups=groups, resamples=resamples, seed=seed)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much one system lies above another, and how sure that order is."""

    difference: Interval
    probability: float  # that the first is above the second: the share of resamples in which it is, ties counted half
    groups: int


def compare(
    one: Sequence[float], other: Sequence[float], *, groups: Sequence[str] = (), resamples: int = 10_000, seed: int = 0
) -> Comparison:
    """The paired difference of two systems with the probability of their order; value i of both is of the same thing.

    Groups (subjects) are resampled, not pictures: the question is whether the order holds for other subjects. With few
    groups the probability is coarse; with one it says nothing, and is 0, 1/2 or 1.

    Raises:
        InvalidArgument: as `paired_difference` does.
    """
    differences = _paired(one, other)
    means_R = _resampled(differences, groups, resamples=resamples, seed=seed)
    tied_R = np.abs(means_R) < _TIE  # sums of equal and opposite differences are seldom 0 to the last bit
    probability = float(((means_R > 0) & ~tied_R).mean() + tied_R.mean() / 2)
    return Comparison(_interval(differences, means_R), probability, len(set(groups)) if groups else len(differences))


def _paired(one: Sequence[float], other: Sequence[float]) -> list[float]:
    if len(one) != len(other):
        raise InvalidArgument("other", f"{len(other)} values, but {len(one)} to pair them with: pass one for each")
    return [a - b for a, b in zip(one, other, strict=True)]


def _resampled(values: Sequence[float], groups: Sequence[str], *, resamples: int, seed: int) -> NDArray[np.float64]:
    """The mean of each resample of groups. Shapes: (R,)."""
    sums_G, sizes_G = _by_group(values, groups)
    chosen_RG = np.random.default_rng(seed).integers(len(sums_G), size=(resamples, len(sums_G)))
    return sums_G[chosen_RG].sum(axis=1) / sizes_G[chosen_RG].sum(axis=1)


def _interval(values: Sequence[float], means_R: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(means_R, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(mean=float(np.mean(values)), low=float(low), high=float(high), n=len(values))


def _by_group(values: Sequence[float], groups: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each group's sum and size. Shapes: (G,), (G,)."""
    if not values:
        raise InvalidArgument("values", "is empty: there is nothing to take a mean of")
    if groups and len(groups) != len(values):
        raise InvalidArgument("groups", f"{len(groups)} names for {len(values)} values: pass one for each, or none")
    values_N = np.asarray(values, dtype=np.float64)
    index_N = np.unique(list(groups), return_inverse=True)[1] if groups else np.arange(len(values))
    return np.bincount(index_N, weights=values_N), np.bincount(index_N).astype(np.float64)
