"""Heartbeats: a pod that runs and says nothing for too long is deleted, and the Job controller makes another.

A program that hangs does not hear SIGTERM either, so it is killed, and that counts as an attempt: an index that always
hangs ends as failed. What a pod says is its progress; when, is told by the store's clock and compared with itself
alone, the waiting is measured by ours. A launcher that starts begins to count anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from suti.core.errors import SutiError
from suti.infra.jobs.kubernetes.seen import Seen, SeenPod
from suti.infra.jobs.ranges import ranges_from
from suti.infra.jobs.store_progress import ProgressReader

_log = logging.getLogger(__name__)


class Silences:
    """How long each running pod has been silent: by what it said last, and when we saw that change."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[datetime | None, float]] = {}  # by pod uid

    def hanging(self, running: Mapping[str, datetime | None], *, now_s: float, limit_s: float) -> list[str]:
        """Those pods (uid: when it said something last, if ever) that have been silent for longer than the limit."""
        self._since = {
            uid: kept if (kept := self._since.get(uid)) is not None and kept[0] == said else (said, now_s)
            for uid, said in running.items()
        }
        return [uid for uid, (_, since) in self._since.items() if now_s - since > limit_s]


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

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(min(60.0, self._limit_s / 4))
            try:
                await asyncio.to_thread(self._look)
            except SutiError as error:  # the store is away: nobody is judged by it
                _log.warning("cannot see which pods hang: %s", error)

    def _look(self) -> None:
        pods: dict[str, SeenPod] = {}
        said: dict[str, datetime | None] = {}
        for job in self._seen.jobs():
            if job.ended or job.deleting:
                continue
            running = {at: pod for at, pod in self._seen.pods(job.name).items() if pod.phase == "Running"}
            if not running:
                continue
            indexes, changes = ranges_from(job.indexes), self._progress.changes(self._prefix(job.name))
            for position, pod in running.items():
                if not pod.deleting:
                    pods[pod.uid], said[pod.uid] = pod, changes.get(indexes[position] if not job.gang else indexes[0])
        for uid in self._silences.hanging(said, now_s=time.monotonic(), limit_s=self._limit_s):
            _log.warning("pod %s said nothing for %.0f s: replacing it", pods[uid].name, self._limit_s)
            self._delete(pods[uid])
