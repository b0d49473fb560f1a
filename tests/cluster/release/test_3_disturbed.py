"""Pods of every kind go while a run is at work: it ends as it would have, and every item is accounted for."""

import json
import random
import time

from tests.charts.rendering import COMPONENTS
from tests.cluster.release.installed import NAME, Release, within
from tests.cluster.release.kube import Object
from tests.cluster.release.runs import CRAWL, OneRun, done

JOBS: tuple[str, ...] = ("experts-job", "apprentice-job")
SERVERS = ("nats", "minio")
PAUSE_S = 4.0


class Saboteur:
    """Deletes a pod of another kind at a time, the jobs' as soon as they are at work, until each kind had its turn."""

    def __init__(self, release: Release) -> None:
        self._kube = release.kube
        self._waiting = [*random.Random(0).sample([*COMPONENTS, *SERVERS], len(COMPONENTS) + len(SERVERS))]
        self._jobs = list(JOBS)
        self._next = time.monotonic() + PAUSE_S
        self.deleted: list[str] = []

    @property
    def left(self) -> list[str]:
        """Kinds that had no turn yet."""
        return [*self._waiting, *self._jobs]

    def __call__(self, _run_id: str) -> None:
        if time.monotonic() < self._next:
            return
        for component in (*self._jobs, *self._waiting[:1]):
            if self._delete(component):
                self._next = time.monotonic() + PAUSE_S
                break

    def _delete(self, component: str) -> bool:
        running = [
            pod["metadata"]["name"]
            for pod in self._kube.pods(component)
            if pod["status"]["phase"] == "Running" and _started(pod)
        ]
        if not running:
            return False
        self._kube.kubectl("delete", "pod", running[0], "--wait=false")
        (self._jobs if component in JOBS else self._waiting).remove(component)
        self.deleted.append(running[0])
        return True


def _started(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all("running" in one["state"] for one in statuses)


def test_a_run_whose_pods_are_deleted_one_after_the_other_gives_the_same(release: Release, whole_run: OneRun) -> None:
    saboteur = Saboteur(release)

    disturbed = done(release, CRAWL, meanwhile=saboteur)
    audit = json.loads(release.suti("pipeline", "run", "audit", disturbed.run_id, "--json"))

    assert saboteur.left == [], saboteur.deleted
    assert disturbed.run["state"] == "RUN_STATE_SUCCEEDED", disturbed.run["outcome"]
    assert audit["sound"]
    assert audit["complete"]
    assert disturbed.digests == whole_run.digests


def test_everything_is_ready_again(release: Release) -> None:
    def ready() -> bool:
        found = [pod for name in (*COMPONENTS, *SERVERS) for pod in release.kube.pods(name)]
        conditions = [one for pod in found for one in pod["status"]["conditions"] if one["type"] == "Ready"]
        return len(found) >= len(COMPONENTS) + len(SERVERS) and all(one["status"] == "True" for one in conditions)

    within(300, "every pod is ready", ready)
    assert "Succeeded" in release.kube.helm("test", NAME, "--timeout", "300s")
