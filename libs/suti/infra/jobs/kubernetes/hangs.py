"""Heartbeats: a pod that runs and says nothing for too long is deleted, and the Job controller makes another.

A program that hangs hears no SIGTERM as a rule, so it is killed, and that counts as an attempt: an index that always
hangs ends as failed. One that does hear it (a long download was only slow to say something) ends at no cost. So that it
is not stopped at the same place for ever, its successor may be silent for twice as long, and so on. What a pod says is
its progress; when, is told by the store's clock and compared with itself alone, the waiting is measured by ours. A
launcher that starts begins to count anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

from suti.core.errors import SutiError
from suti.infra.jobs.kubernetes.seen import Seen, SeenPod
from suti.infra.jobs.ranges import ranges_from
from suti.infra.jobs.store_progress import ProgressReader

_MOST_DOUBLINGS = 8

_log = logging.getLogger(__name__)


class Silences:
    """How long each running pod has been silent: by what it said last, and when we saw that change."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[datetime | None, float]] = {}  # by pod uid

    def hanging(
        self, running: Mapping[str, datetime | None], *, now_s: float, limits_s: Mapping[str, float]
    ) -> list[str]:
        """Those pods (uid: when it said something last, if ever) that have been silent for longer than their limit."""
        self._since = {
            uid: kept if (kept := self._since.get(uid)) is not None and kept[0] == said else (said, now_s)
            for uid, said in running.items()
        }
        return [uid for uid, (_, since) in self._since.items() if now_s - since > limits_s[uid]]


class Replaced:
    """What was replaced, by job and index: how often in a row that cost no attempt."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], tuple[str, int, int]] = {}  # uid; attempts that had failed then; in a row

    def add(self, pod: SeenPod) -> None:
        """This one is replaced now."""
        self._last[pod.job, pod.position] = pod.uid, pod.failures, self.for_nothing(pod) + 1

    def for_nothing(self, pod: SeenPod) -> int:
        """Replacements before this pod since which the index has as many failed attempts as then."""
        uid, failures, times = self._last.get((pod.job, pod.position), ("", pod.failures, 0))
        if uid == pod.uid:  # it is still there: its deletion did not work
            return times - 1
        return times if failures == pod.failures else 0

    def keep(self, jobs: Collection[str]) -> None:
        """There are no other jobs any more."""
        self._last = {of: kept for of, kept in self._last.items() if of[0] in jobs}


class Hangs:
    """Replaces what hangs, for all jobs of a launcher."""

    def __init__(
        self,
        seen: Seen,
        progress: ProgressReader,
        prefix: Callable[[str], str],
        delete: Callable[[SeenPod], None],
        *,
        limit_s: float,
    ) -> None:
        self._seen = seen
        self._progress = progress
        self._prefix = prefix
        self._delete = delete
        self._limit_s = limit_s
        self._silences = Silences()
        self._replaced = Replaced()

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(min(60.0, self._limit_s / 4))
            try:
                await asyncio.to_thread(self._look)
            except SutiError as error:  # the store is away: nobody is judged by it
                _log.warning("cannot see which pods hang: %s", error)
            except Exception:  # noqa: BLE001 - whatever it is, others hang as well, later
                _log.exception("cannot see which pods hang")

    def _look(self) -> None:
        pods: dict[str, SeenPod] = {}
        said: dict[str, datetime | None] = {}
        jobs = self._seen.jobs()
        for job in jobs:
            if job.ended or job.deleting:
                continue
            running = {at: pod for at, pod in self._seen.pods(job.name).items() if pod.phase == "Running"}
            if not running:
                continue
            indexes, changes = ranges_from(job.indexes), self._progress.changes(self._prefix(job.name))
            for position, pod in running.items():
                if not pod.deleting:
                    pods[pod.uid], said[pod.uid] = pod, changes.get(indexes[position] if not job.gang else indexes[0])
        self._replaced.keep({job.name for job in jobs})
        limits_s = {
            uid: self._limit_s * 2 ** min(_MOST_DOUBLINGS, self._replaced.for_nothing(pod)) for uid, pod in pods.items()
        }
        for uid in self._silences.hanging(said, now_s=time.monotonic(), limits_s=limits_s):
            _log.warning("pod %s said nothing for %.0f s: replacing it", pods[uid].name, limits_s[uid])
            self._delete(pods[uid])
            self._replaced.add(pods[uid])
