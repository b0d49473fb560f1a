"""Jobs and pods as the API server shows them."""

from typing import Any

Object = dict[str, Any]


def job(
    name: str = "work",
    *,
    uid: str = "job-1",
    version: int = 1,
    indexes: str = "0-2",
    completed: str = "",
    failed: str = "",
    condition: tuple[str, str, str] | None = None,
    suspend: bool = False,
    cancelled: bool = False,
    queue: str = "",
) -> Object:
    """A Job; `condition` is type, reason, message."""
    conditions = [] if condition is None else [dict(zip(("type", "reason", "message"), condition, strict=True))]
    return {
        "metadata": {
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {"kueue.x-k8s.io/queue-name": queue} if queue else {},
            "annotations": {"suti.dev/indexes": indexes} | ({"suti.dev/cancelled": "now"} if cancelled else {}),
        },
        "spec": {"suspend": suspend},
        "status": {
            "completedIndexes": completed,
            "failedIndexes": failed,
            "conditions": [{**one, "status": "True"} for one in conditions],
        },
    }


def pod(
    position: int = 0,
    *,
    name: str = "",
    of: str = "work",
    phase: str = "Running",
    exit_code: int | None = None,
    told: str = "",
    failures: int = 0,
    version: int = 1,
    created: str = "2026-01-01T00:00:00Z",
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    disrupted: bool = False,
    evicted: str = "",
    leaves_at: str = "",
) -> Object:
    """A pod of an Indexed Job."""
    state: Object = {}
    if exit_code is not None:
        state = {"terminated": {"exitCode": exit_code, "message": told}}
    elif waiting is not None:
        state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
    conditions: list[Object] = []
    if unschedulable:
        no = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        conditions.append({**no, "message": unschedulable})
    if disrupted:
        conditions.append({"type": "DisruptionTarget", "status": "True"})
    metadata: Object = {
        "name": name or f"{of}-{position}-{failures}",
        "uid": name or f"{of}-{position}-{failures}",
        "resourceVersion": str(version),
        "creationTimestamp": created,
        "labels": {"batch.kubernetes.io/job-name": of},
        "annotations": {
            "batch.kubernetes.io/job-completion-index": str(position),
            "batch.kubernetes.io/job-index-failure-count": str(failures),
        },
    }
    if leaves_at:
        metadata["deletionTimestamp"] = leaves_at
    node_says = {"reason": "Evicted", "message": evicted} if evicted else {}
    containers = [{"state": state}] if state else []
    return {
        "metadata": metadata,
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": containers, **node_says},
    }
