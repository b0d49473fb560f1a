"""What a launcher remembers of its jobs and pods: a few fields each, the last pod of each index alone."""

import json
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from suti.infra.jobs.kubernetes import names

_Object = Mapping[str, Any]
_MOST_CHARS = 500


@dataclass(frozen=True, slots=True)
class SeenJob:
    """One Job, as it was last seen."""

    name: str
    uid: str
    version: int
    digest: str
    indexes: str  # ranges
    attempts: int = 1  # that each index may have
    gang: int = 0  # pods that do the one index together; 0: a pod for each index
    suspended: bool = False
    cancelled: bool = False
    deleting: bool = False
    gone: bool = False  # deleted before it was let in, since somebody cancelled it; remembered until it is forgotten
    queue: str = ""
    complete: bool = False
    failed: bool = False
    ended_as: str = ""  # the reason of the condition
    message: str = ""
    active: int = 0
    at_once: int = 0  # pods that it asks for
    succeeded_at: str = ""  # completion indexes, as ranges
    failed_at: str = ""

    @property
    def ended(self) -> bool:
        """Whether the Job controller is done with it."""
        return self.complete or self.failed or self.gone


@dataclass(frozen=True, slots=True)
class SeenPod:
    """The last pod of one index of a job."""

    name: str
    uid: str
    job: str
    position: int
    version: int
    order: tuple[str, int]  # later pods of the index are greater
    phase: str
    failures: int  # of the pods before it
    leaves_at: str = ""  # RFC 3339, UTC: when its node should have ended it at the latest; empty: nobody deletes it
    disrupted: bool = False
    exit_code: int | None = None
    reason: str = ""  # that its process left, or why it cannot start
    message: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not run any more."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def created_at(self) -> str:
        """RFC 3339, UTC."""
        return self.order[0]

    @property
    def deleting(self) -> bool:
        """Whether somebody deleted it, and it is still there."""
        return bool(self.leaves_at)

    @property
    def living(self) -> bool:
        """Whether it runs, or will."""
        return self.phase in ("Pending", "Running")


def seen_job(job: _Object) -> SeenJob:
    """The fields that matter of a Job."""
    metadata, spec, status = job["metadata"], job.get("spec") or {}, job.get("status") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or [] if one.get("status") == "True"}
    end = conditions.get("Complete") or conditions.get("Failed") or {}
    return SeenJob(
        name=metadata["name"],
        uid=metadata["uid"],
        version=_number(metadata.get("resourceVersion")),
        digest=annotations.get(names.DIGEST, ""),
        indexes=annotations.get(names.INDEXES, ""),
        attempts=_number(annotations.get(names.ATTEMPTS)) or 1,
        gang=_number(annotations.get(names.GANG)),
        suspended=bool(spec.get("suspend")),
        cancelled=names.CANCELLED in annotations,
        deleting="deletionTimestamp" in metadata,
        queue=labels.get(names.QUEUE, ""),
        complete="Complete" in conditions,
        failed="Failed" in conditions,
        ended_as=end.get("reason", ""),
        message=str(end.get("message", ""))[:_MOST_CHARS],
        active=status.get("active") or 0,
        at_once=spec.get("parallelism") or 0,
        succeeded_at=status.get("completedIndexes") or "",
        failed_at=status.get("failedIndexes") or "",
    )


def seen_pod(pod: _Object) -> SeenPod | None:
    """The fields that matter of a Job's pod; None if it is no index's."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    job, position = labels.get(names.JOB_NAME), str(annotations.get(names.POSITION, ""))
    if not job or not position.isdigit():
        return None
    failures = _number(annotations.get(names.FAILURES))
    phase = str(status.get("phase", "Pending"))
    code, reason, message = _ending(status) if phase == "Failed" else (None, "", "")
    if phase == "Pending":
        reason, message = waiting(status)
    elif phase == "Succeeded":
        code = 0
    conditions = status.get("conditions") or []
    return SeenPod(
        name=metadata["name"],
        uid=metadata["uid"],
        job=sys.intern(job),
        position=int(position),
        version=_number(metadata.get("resourceVersion")),
        order=(metadata.get("creationTimestamp", ""), failures + _number(annotations.get(names.IGNORED_FAILURES))),
        phase=sys.intern(phase),
        failures=failures,
        leaves_at=metadata.get("deletionTimestamp", ""),
        disrupted=any(one["type"] == "DisruptionTarget" and one.get("status") == "True" for one in conditions),
        exit_code=code,
        reason=sys.intern(reason[:_MOST_CHARS]),
        message=message[:_MOST_CHARS],
    )


class Seen:
    """All of them. Watching threads write, the launcher reads.

    `ended` is told of each pod once when it is first seen to have ended, with its job if that is known.
    """

    def __init__(self, *, ended: Callable[[SeenPod, SeenJob | None], None] | None = None) -> None:
        self._ended = ended
        self._lock = threading.Lock()
        self._jobs: dict[str, SeenJob] = {}
        self._pods: dict[str, dict[int, SeenPod]] = {}

    def job(self, name: str) -> SeenJob | None:
        """The job, if there is one of that name."""
        with self._lock:
            return self._jobs.get(name)

    def jobs(self) -> list[SeenJob]:
        """All jobs, by name."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.name)

    def pods(self, job: str) -> dict[int, SeenPod]:
        """The last pod of each index of a job that has had one, by completion index."""
        with self._lock:
            return dict(self._pods.get(job, ()))

    def see_job(self, job: SeenJob) -> None:
        """The job looks so now, unless it was seen later than that."""
        with self._lock:
            self._see_job(job)

    def see_pod(self, pod: SeenPod) -> None:
        """The pod looks so now, unless its index has had a later one."""
        with self._lock:
            self._see_pod(pod)

    def lose_job(self, name: str, uid: str) -> None:
        """The job is gone, and its pods are nobody's."""
        with self._lock:
            if (job := self._jobs.get(name)) is not None and job.uid == uid:
                del self._jobs[name]
                self._pods.pop(name, None)

    def lose_pod(self, pod: SeenPod) -> None:
        """The pod is gone. How it ended is remembered, as long as its job is there."""
        with self._lock:
            kept = self._pods.get(pod.job, {}).get(pod.position)
            if kept is None or kept.uid != pod.uid:
                return
            if pod.ended and pod.job in self._jobs:
                self._see_pod(pod)
            else:
                del self._pods[pod.job][pod.position]

    def only_jobs(self, jobs: Iterable[SeenJob], *, version: int) -> None:
        """There were these jobs, and no others, at this version."""
        with self._lock:
            found = set[str]()
            for job in jobs:
                found.add(job.name)
                self._see_job(job)
            for name in [n for n, job in self._jobs.items() if n not in found and job.version <= version]:
                del self._jobs[name]
                self._pods.pop(name, None)

    def only_pods(self, pods: Iterable[SeenPod], *, version: int) -> None:
        """There were these pods, and no others, at this version."""
        with self._lock:
            found = set[str]()
            for pod in pods:
                found.add(pod.uid)
                self._see_pod(pod)
            for job, kept in list(self._pods.items()):
                for position, pod in list(kept.items()):
                    ended = pod.ended and job in self._jobs
                    if pod.uid not in found and pod.version <= version and not ended:
                        del kept[position]
                if not kept:
                    del self._pods[job]

    def _see_job(self, job: SeenJob) -> None:
        kept = self._jobs.get(job.name)
        if kept is not None and kept.uid != job.uid and kept.version < job.version:
            self._pods.pop(job.name, None)  # another job of the same name
        if kept is None or kept.version <= job.version:
            self._jobs[job.name] = job

    def _see_pod(self, pod: SeenPod) -> None:
        of_job = self._pods.setdefault(pod.job, {})
        kept = of_job.get(pod.position)
        if kept is None or kept.order < pod.order or (kept.uid == pod.uid and kept.version <= pod.version):
            of_job[pod.position] = pod
            anew = kept is None or kept.uid != pod.uid or not kept.ended
            if pod.ended and anew and self._ended is not None:
                self._ended(pod, self._jobs.get(pod.job))


def _ending(status: _Object) -> tuple[int | None, str, str]:
    """Exit code, reason and message of a failed pod."""
    node_says = str(status.get("reason") or ""), str(status.get("message") or "")
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated")
        if ended is None:
            continue
        reason, message = _left_word(str(ended.get("message") or ""))
        code = ended.get("exitCode")
        if ended.get("reason") == "OOMKilled":
            reason, message = "KILLED", "it took more memory than its limit: raise resources.limits.memory"
        elif node_says[0] == "Evicted":  # its last line of log does not know why
            reason, message = "KILLED", f"its node evicted it: {node_says[1]}"
        return code, reason, message
    return None, *node_says


def _left_word(text: str) -> tuple[str, str]:
    """What a job's process left (`suti.infra.jobs.entry`), else the end of what it wrote."""
    try:
        told = json.loads(text)
        return str(told["reason"]), str(told["message"])
    except (ValueError, KeyError, TypeError):
        return "", text.strip()[-_MOST_CHARS:]


def waiting(status: _Object) -> tuple[str, str]:
    """Why a pod of this status does not run yet: the scheduler's word, or the kubelet's; reason and message."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("reason") or ""), str(condition.get("message") or "")
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting")
        if waiting is not None:
            return str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    return "", ""


def _number(text: Any) -> int:
    return int(text) if str(text or "").isdigit() else 0
