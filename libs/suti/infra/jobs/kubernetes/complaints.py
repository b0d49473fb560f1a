"""What Kubernetes complains of: the events of a job that lacks pods, and of a pod that does not start, read seldom."""

import asyncio
import logging
import math
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.jobs.kubernetes.seen import SeenJob, SeenPod
from suti.infra.jobs.ranges import ranges_size

QUOTA = "exceeded quota"  # the API server's word

_KEPT_S = 5.0
# The controller tries again at least every minute, but after many events of a job only one in five minutes is written.
_STILL_SO = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class Complaint(NamedTuple):
    """One event of type Warning."""

    at: str  # RFC 3339, UTC; empty: nobody said
    message: str


class Complaints:
    """Of one namespace."""

    def __init__(self, api: KubernetesApi, events_path: str) -> None:
        self._api = api
        self._path = events_path
        self._kept: dict[str, tuple[float, list[Complaint]]] = {}  # by the job's uid

    async def of(self, job: SeenJob, pods: Collection[SeenPod]) -> list[str]:
        """Why it has no pods, or fewer than it may have, the newest first; empty if nobody complains.

        Where some live, only that a quota lets no others in, and lately: other complaints may be of pods long since
        made. `pods` are the last ones of each index.
        """
        living = sum(pod.living for pod in pods)
        if job.suspended or living >= wanted(job):
            return []
        told = await self._told(job)
        if living:
            since = datetime.now(UTC) - _STILL_SO
            told = [one for one in told if QUOTA in one.message and one.at and datetime.fromisoformat(one.at) > since]
        return [one.message for one in told]

    async def of_pod(self, pod: SeenPod) -> str:
        """The newest about a pod; empty if nobody complains."""
        told = await self._told(pod)
        return told[0].message if told else ""

    async def _told(self, about: SeenJob | SeenPod) -> list[Complaint]:
        asked_at, told = self._kept.get(about.uid, (-math.inf, []))
        if time.monotonic() - asked_at < _KEPT_S:
            return told
        query = {"fieldSelector": f"involvedObject.uid={about.uid},type=Warning", "limit": 100}
        try:
            found = await asyncio.to_thread(self._api.get, self._path, query)
        except ApiFault as fault:
            _log.warning("cannot read the events of %s: %s", about.name, fault)
            return told
        events = found.get("items") or []
        told = [Complaint(str(one.get("lastTimestamp") or ""), str(one.get("message", ""))) for one in events]
        told.sort(key=lambda one: one.at, reverse=True)
        self._kept = {uid: kept for uid, kept in self._kept.items() if time.monotonic() - kept[0] < _KEPT_S}
        self._kept[about.uid] = (time.monotonic(), told)
        return told


def wanted(job: SeenJob) -> int:
    """How many pods the Job controller would let live now: of those left to do, as many as may be at once."""
    completions = job.gang or ranges_size(job.indexes)
    ended = ranges_size(job.succeeded_at) + ranges_size(job.failed_at)
    left = max(0, completions - ended)
    return min(left, job.at_once or left)
