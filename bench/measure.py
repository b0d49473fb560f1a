"""Interleaved timing: two ways of doing the same thing in turn, so that a noisy machine is noisy to both."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Ratio:
    """One claim: how often B's time goes into A's, pair by pair (or a plain figure), its goal, and where it fails."""

    name: str
    median: float
    low: float
    high: float
    repeats: int
    at_most: float | None = None
    at_least: float | None = None
    fails_above: float | None = None  # figures that a busy machine may miss: a failure only here; unset: at the goal

    @property
    def reached(self) -> bool:
        """Whether the median reaches its goal."""
        return (self.at_most is None or self.median <= self.at_most) and (
            self.at_least is None or self.median >= self.at_least
        )

    @property
    def holds(self) -> bool:
        """Whether the median is no failure."""
        return self.reached if self.fails_above is None else self.median <= self.fails_above

    def line(self) -> str:
        """The ratio as a person reads it: median, [least, most], repeats, goal."""
        goal = "reported"
        if self.at_most is not None:
            goal = f"≤ {self.at_most:g}"
        elif self.at_least is not None:
            goal = f"≥ {self.at_least:g}"
        if self.fails_above is not None:
            goal += f", fails above {self.fails_above:g}"
        mark = "ok  " if self.reached else "over" if self.holds else "FAIL"
        return f"{mark} {self.name:<66} {self.median:8.3f}  [{self.low:.3f}, {self.high:.3f}]  n={self.repeats}  {goal}"

    def facts(self) -> dict[str, object]:
        """The same for a machine."""
        return {**asdict(self), "reached": self.reached, "holds": self.holds}


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
    name: str,
    ratios: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    fails_above: float | None = None,
) -> Ratio:
    """Ratios that were measured pair by pair, or figures that were measured one after the other."""
    middle = statistics.median(ratios)
    return Ratio(name, middle, min(ratios), max(ratios), len(ratios), at_most, at_least, fails_above)
