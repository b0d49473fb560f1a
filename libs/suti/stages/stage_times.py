"""When each stage of a run began and ended, told by its commits alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from ulid import ULID

from suti.core.records import Stage
from suti.infra.ledger import Commit

_ULID_LENGTH = 26


@dataclass(frozen=True, slots=True)
class StageTime:
    """`began` is None before a stage could start, `last` before its first commit."""

    began: datetime | None = None
    last: datetime | None = None

    def elapsed(self, *, now: datetime, ended: bool) -> timedelta:
        """From the first ticket to the last commit, or to now while the stage goes on."""
        if self.began is None:
            return timedelta()
        until = (self.last or self.began) if ended else now
        return max(until - self.began, timedelta())


def stage_times(created_at: datetime, commits: Mapping[Stage, Mapping[int, Commit]]) -> Mapping[Stage, StageTime]:
    """Each stage's times. A stage begins with its first ticket, which follows the first commit of the stage before.

    The apprentice begins after the last of them.
    """
    times: dict[Stage, StageTime] = {}
    began: datetime | None = created_at
    for stage in Stage:
        ends = [end for commit in commits.get(stage, {}).values() if (end := finished_at(commit)) is not None]
        times[stage] = StageTime(began=began, last=max(ends, default=None))
        began = (max if stage is Stage.FILTERING else min)(ends, default=None)
    return times


def finished_at(commit: Commit) -> datetime | None:
    """When the commit was written: its fence begins with the ULID of its delivery. None for fences without one."""
    return _finished_at(commit.fence[:_ULID_LENGTH], commit.seconds)


@lru_cache(maxsize=1 << 18)  # asked for every commit of a run whenever somebody looks at it
def _finished_at(fence: str, seconds: float) -> datetime | None:
    try:
        return ULID.from_str(fence).datetime + timedelta(seconds=seconds)
    except ValueError:
        return None
