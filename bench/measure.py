"""Interleaved timing: two ways of doing the same thing in turn, so that a noisy machine is noisy to both."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Ratio:
    """One claim: how often B's time goes into A's, pair by pair, and what was promised."""

    name: str
    median: float
    low: float
    high: float
    repeats: int
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the median keeps the promise."""
        return (self.at_most is None or self.median <= self.at_most) and (
            self.at_least is None or self.median >= self.at_least
        )

    def line(self) -> str:
        """The ratio as a person reads it."""
        promise = (
            f"≤ {self.at_most}" if self.at_most is not None else f"≥ {self.at_least}" if self.at_least else "reported"
        )
        mark = "ok " if self.holds else "OFF"
        return (
            f"{mark} {self.name:<66} {self.median:8.3f}  [{self.low:.3f}, {self.high:.3f}]  n={self.repeats}  {promise}"
        )

    def facts(self) -> dict[str, object]:
        """The same for a machine."""
        return {**asdict(self), "holds": self.holds}


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(
    name: str,
    work: Callable[[], object],
    baseline: Callable[[], object],
    *,
    repeats: int = 5,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Ratio:
    """Time of `work` ÷ time of `baseline`, one after the other, `repeats` times after one warm-up of each."""
    work()
    baseline()
    ratios = [seconds(work) / seconds(baseline) for _ in range(repeats)]
    return of_ratios(name, ratios, at_most=at_most, at_least=at_least)


def of_ratios(
    name: str, ratios: Sequence[float], *, at_most: float | None = None, at_least: float | None = None
) -> Ratio:
    """Ratios that were measured pair by pair."""
    return Ratio(name, statistics.median(ratios), min(ratios), max(ratios), len(ratios), at_most, at_least)
