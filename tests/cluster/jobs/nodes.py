"""Which node of a cluster, whatever it looks like, has the most room for pods of a test."""

from collections.abc import Iterable
from typing import Any, cast

from kubernetes.utils import quantity

from suti.infra.jobs.kubernetes.api import KubernetesApi

Object = dict[str, Any]


def millicores(text: Any) -> int:
    """A quantity of processors as the API server writes it: 4, "4", "3920m"."""
    parsed: Any = cast("Any", quantity).parse_quantity(text)  # no types
    return int(parsed * 1000)


def roomiest(api: KubernetesApi) -> tuple[str, int]:
    """Host name (the label) and free millicores of the real node that has the most, of those that take any pod."""
    pods = api.get("/api/v1/pods")["items"]
    free = {
        node["metadata"]["labels"]["kubernetes.io/hostname"]: millicores(node["status"]["allocatable"]["cpu"])
        - sum(requested(pod) for pod in pods if on(pod, node["metadata"]["name"]))
        for node in api.get("/api/v1/nodes")["items"]
        if takes_any(node)
    }
    return max(free.items(), key=lambda one: one[1])


def takes_any(node: Object) -> bool:
    """Whether it is no simulated one (kwok), is ready, and keeps no pod away."""
    if "kwok" in node["metadata"]["name"] or node["spec"].get("unschedulable"):
        return False
    if any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints") or []):
        return False
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])


def on(pod: Object, node: str) -> bool:
    """Whether it takes room there."""
    return pod["spec"].get("nodeName") == node and pod["status"].get("phase") not in ("Succeeded", "Failed")


def requested(pod: Object) -> int:
    """Millicores, as the scheduler counts them: of all that run together, or of one that begins, if that is more."""
    spec = pod["spec"]
    begin: list[Object] = spec.get("initContainers") or []
    beside = [one for one in begin if one.get("restartPolicy") == "Always"]
    together = _sum([*spec["containers"], *beside])
    return max([together, *(_sum([one]) for one in begin)]) + millicores((spec.get("overhead") or {}).get("cpu", 0))


def _sum(containers: Iterable[Object]) -> int:
    return sum(millicores(((one.get("resources") or {}).get("requests") or {}).get("cpu", 0)) for one in containers)
