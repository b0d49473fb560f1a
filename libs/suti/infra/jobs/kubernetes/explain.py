"""Why a job does not run, in words: quota, no node that fits and what it lacks, the image, a volume, a node that is
silent, waiting behind others.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from suti.infra.jobs.kubernetes.seen import SeenJob, SeenPod

_LACKS = re.compile(r"(\d+) Insufficient ([^,. ]+(?:\.[^,. ]+)*)")
_NODES = re.compile(r"(\d+)/(\d+) nodes are available")
# The scheduler: on these nodes the request is more than they have at all; on these, more than is free.
_NEVER, _BEHIND = "Preemption is not helpful", "No preemption victims found"
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIGURATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_SILENT_NODE = (
    "its node does not say that a deleted pod ended, and until then nothing takes its place: if the node is dead, "
    "delete it, or taint it node.kubernetes.io/out-of-service"
)
_SOON = timedelta(minutes=2)  # most pods are there by then, unless their image is large
_SILENT = timedelta(minutes=5)  # past its grace: its node would have said long since that it ended
_MOST_CHARS = 300


def explain_job(
    job: SeenJob, pods: Iterable[SeenPod], warnings: Sequence[str], *, now: datetime, slow_start: str = ""
) -> str:
    """What the job waits for; empty if nothing keeps it.

    Args:
        job: The job.
        pods: The last pod of each of its indexes.
        warnings: What the Job controller complains of, the newest first (events of type Warning); of a job that has
            some of its pods, what keeps it from the others.
        now: The time, with a time zone.
        slow_start: What its node complains of, about the first of those that are `slow_to_start`.
    """
    if job.ended or job.deleting:
        return ""
    if job.suspended:
        if job.queue:
            return (
                f"suspended: queue {job.queue!r} has not admitted it: all its {job.at_once} pods at once must fit into "
                "the quota (jobs.podsAtOnce), beside what is before it (Kueue)"
            )
        return "suspended: somebody has to let it start (`kubectl patch job`, spec.suspend: false)"
    pods = list(pods)
    pending = [pod for pod in pods if pod.phase == "Pending" and not pod.deleting]
    told = Counter(explain_pod(pod) for pod in pending)
    told.pop("", None)
    if slow_start:
        told[f"its pod cannot start ({_short(slow_start)}): correct its volumes and their secrets, or the node"] = len(
            slow_to_start(pods, now=now)
        )
    if silent := sum(_on_a_silent_node(pod, now) for pod in pods):
        told[_SILENT_NODE] = silent
    lines = [f"{line} ({count} pods)" if count > 1 else line for line, count in told.most_common(3)]
    if warnings:
        living = any(pod.living for pod in pods)
        lines.append(("some of its pods cannot be created: " if living else "") + explain_warning(warnings[0]))
    return "; ".join(lines)


def slow_to_start(pods: Iterable[SeenPod], *, now: datetime) -> list[SeenPod]:
    """Those that are on their way for longer than a pod should be: only events say why."""
    return [
        pod
        for pod in pods
        if pod.phase == "Pending"
        and not pod.deleting
        and not explain_pod(pod)
        and now - datetime.fromisoformat(pod.created_at) > _SOON
    ]


def explain_pod(pod: SeenPod) -> str:
    """What one pending pod of a job waits for; empty if it is on its way."""
    return explain_waiting(pod.reason, pod.message, written_in="the job template")


def explain_waiting(reason: str, message: str, *, written_in: str) -> str:
    """What a pod waits for that says so (see `seen.waiting`); empty if it is on its way.

    `written_in` is where an operator finds what the pod asks for.
    """
    if reason in ("Unschedulable", "SchedulingGated"):
        return _unschedulable(message, written_in)
    if reason in _IMAGE:
        return f"its image cannot be pulled ({_short(message or reason)}): correct image or pull secret"
    if reason in _CONFIGURATION:
        return f"its container cannot be made ({_short(message or reason)}): correct {written_in}"
    return ""


def explain_warning(message: str) -> str:
    """Why the Job controller could not create pods."""
    if "exceeded quota" in message:
        detail = message[message.index("exceeded quota") :]
        return f"a quota of the namespace is used up ({_short(detail)}): wait, or raise the ResourceQuota"
    if "violates PodSecurity" in message:
        return f"the namespace's Pod Security level forbids its pods ({_short(message)}): correct the job template"
    return f"its pods cannot be created ({_short(message)})"


def _on_a_silent_node(pod: SeenPod, now: datetime) -> bool:
    return pod.living and pod.deleting and now - datetime.fromisoformat(pod.leaves_at) > _SILENT


def _unschedulable(message: str, written_in: str) -> str:
    nodes = _NODES.search(message)
    total = nodes.group(2) if nodes else "the"
    lacks = [f"{resource} on {count} of {total} nodes" for count, resource in _LACKS.findall(message)]
    if not lacks:
        return f"no node takes it ({_short(message)}): see selectors, tolerations and volumes of {written_in}"
    which = " and ".join(lacks)
    if _NEVER in message and _BEHIND not in message:  # on some nodes the one, on some the other: it may yet fit
        return f"no node fits: not enough {which}, even if they were empty: ask for less, or add nodes that have it"
    return f"waits behind other pods: not enough {which} just now: wait, or add nodes"


def _short(text: str) -> str:
    return textwrap.shorten(text, _MOST_CHARS, placeholder=" ...")
