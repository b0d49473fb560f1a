"""What the containers of simulated nodes would do, had they run: their shards' commits. And who kills some of them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault
from suti.infra.jobs.kubernetes.watch import Follower
from suti.infra.jobs.ranges import ranges_at
from suti.infra.ledger import Ledger

_Object = Mapping[str, Any]
_KILLED = 137


class SimulatedPods:
    """Follows a namespace's pods. A shard is committed when its pod runs; of `kill_share` the first pod dies."""

    def __init__(
        self, api: KubernetesApi, namespace: str, ledger: Ledger, *, seconds: float, kill_share: float = 0.0
    ) -> None:
        self._api = api
        self._ledger = ledger
        self._seconds = seconds
        self._kill_share = kill_share
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._met = set[str]()
        self._lock = threading.Lock()
        self.began: dict[str, float] = {}
        self.running = 0
        self.most_running = 0
        self.phases: Counter[str] = Counter()
        self.killed = 0
        selector = f"{names.PART_OF}=suti"
        self._follower = Follower(api, self._path, selector=selector, listed=self._listed, changed=self._changed)

    def start(self) -> None:
        """From now on."""
        self._follower.start()

    def stop(self) -> None:
        """Until now."""
        self._follower.stop()

    def _listed(self, objects: Any, version: Any) -> None:
        for one in objects:
            self._changed("ADDED", one)

    def _changed(self, kind: str, pod: _Object) -> None:
        name, phase = pod["metadata"]["name"], (pod.get("status") or {}).get("phase")
        if kind == "DELETED" or phase in ("Succeeded", "Failed"):
            if self.began.pop(name, None) is not None:
                self.phases[str(phase)] += 1
            return
        if phase != "Running" or name in self._met:
            return
        self._met.add(name)
        self.began[name] = time.monotonic()
        self.most_running = max(self.most_running, len(self.began))
        shard = _shard(pod)
        failures = int((pod["metadata"]["annotations"] or {}).get(names.FAILURES) or 0)
        if failures == 0 and random.Random(shard).random() < self._kill_share:  # noqa: S311 - which ones
            timer = threading.Timer(self._seconds / 2, self._kill, [pod])
            timer.daemon = True
            timer.start()
            return
        self._ledger.draft("experts", shard).commit(
            counts={"items_in": 25, "items_out": 25, "dropped": 0}, seconds=self._seconds
        )

    def _kill(self, pod: _Object) -> None:
        """As a kubelet tells of a container that was killed."""
        ended = {"terminated": {"exitCode": _KILLED, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}}
        container = pod["spec"]["containers"][0]
        status = {
            "phase": "Failed",
            "containerStatuses": [
                {
                    "name": container["name"], "image": container["image"], "imageID": "", "ready": False,
                    "restartCount": 0, "state": ended,
                }
            ],
        }  # fmt: skip
        try:
            path = f"{self._path}/{pod['metadata']['name']}/status"
            self._api.patch(path, {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}, manager="bench")
            self.killed += 1
        except ApiFault as fault:
            print(f"could not kill {pod['metadata']['name']}: {fault}")


def _shard(pod: _Object) -> int:
    position = int(pod["metadata"]["annotations"][names.POSITION])
    told = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
    return ranges_at(told["SUTI_JOB_INDEXES"], position)
