"""What the doctor says of a cluster. Real ones are asked in tests/cluster; here what an API server may answer."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes.client import Configuration

from suti.infra.jobs.kubernetes import names
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.local.cluster_checks import check_cluster
from suti.local.findings import Finding, Verdict
from tests.servers.http import Handler, listening
from tests.unit.infra.jobs.kubernetes.api_objects import job as launched_job
from tests.unit.infra.jobs.kubernetes.api_objects import pod as launched_pod


def first_word(major: str, minor: str) -> Finding:
    """The first line about a cluster that says it has this version."""

    class Versions(Handler):
        def do_GET(self) -> None:
            self.answer(200, {"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.0"})

    with listening(Versions) as address:
        configuration = Configuration()
        configuration.host = address
        api = KubernetesApi(configuration)
        try:
            return next(check_cluster(api, namespace="suti", release="suti"))
        finally:
            api.close()


@pytest.mark.parametrize(("minor", "verdict"), [("28", Verdict.FAIL), ("30+", Verdict.FAIL), ("31", Verdict.OK)])
def test_a_kubernetes_that_is_too_old_is_told_which_is_not(minor: str, verdict: Verdict) -> None:
    finding = first_word("1", minor)

    assert finding.verdict is verdict
    assert bool(finding.remedy) is (verdict is Verdict.FAIL)
    assert "1.31" in finding.found or verdict is Verdict.OK


def findings(objects: dict[str, list[dict[str, Any]]]) -> dict[str, Verdict]:
    """What is said of a release that has these objects, by the last word of their path."""

    class Answers(Handler):
        def do_GET(self) -> None:
            kind = urlsplit(self.path).path.rsplit("/", 1)[-1]
            version = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
            self.answer(200, version if kind == "version" else {"metadata": {}, "items": objects.get(kind, [])})

    with listening(Answers) as address:
        api = KubernetesApi(Configuration(host=address))
        try:
            return {one.subject: one.verdict for one in check_cluster(api, namespace="suti", release="suti")}
        finally:
            api.close()


def failed_pod(owner: str, uid: str) -> dict[str, Any]:
    owners = [{"kind": owner, "uid": uid, "controller": True}] if owner else []
    metadata = {"name": "broken", "namespace": "suti", "uid": "p", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"containers": [{"name": "job"}]}, "status": {"phase": "Failed"}}


def job(*ends: str) -> dict[str, Any]:
    told = [{"type": end, "status": "True"} for end in ends]
    return {"metadata": {"name": "tune", "uid": "j"}, "spec": {}, "status": {"conditions": told}}


@pytest.mark.parametrize(
    ("jobs", "owner", "trouble"),
    [
        ([job()], "Job", set[str]()),  # its attempt failed, and another is made
        ([job("Complete")], "Job", set[str]()),
        ([job("Failed")], "Job", {"job tune", "pod broken"}),
        ([job()], "ReplicaSet", set[str]()),  # evicted: the Deployment's line says whether it has all it wants
        ([job()], "", {"pod broken"}),  # nobody's
    ],
)
def test_a_failed_pod_is_trouble_only_where_nothing_takes_its_place(
    jobs: list[dict[str, Any]], owner: str, trouble: set[str]
) -> None:
    found = findings({"jobs": jobs, "pods": [failed_pod(owner, "j")]})

    assert {subject for subject, verdict in found.items() if verdict is Verdict.FAIL} == trouble


def running_pod(name: str, *, started: bool, restarts: int = 0) -> dict[str, Any]:
    state = {"name": "pipeline", "started": started, "restartCount": restarts, "state": {"running": {}}}
    conditions = [{"type": "Ready", "status": "False"}]
    status = {"phase": "Running", "containerStatuses": [state], "conditions": conditions}
    metadata = {"name": name, "namespace": "suti", "uid": name}
    return {"metadata": metadata, "spec": {"containers": [{"name": "pipeline"}]}, "status": status}


def test_a_pod_that_starts_is_waited_for_and_one_that_started_before_is_not() -> None:
    pods = [running_pod("new", started=False), running_pod("again", started=False, restarts=2)]

    found = findings({"jobs": [job()], "pods": [*pods, running_pod("lost", started=True)]})

    assert (found["pod new"], found["pod again"], found["pod lost"]) == (Verdict.WARN, Verdict.FAIL, Verdict.FAIL)


def test_pods_that_have_one_trouble_are_one_line() -> None:
    pods = [launched_pod(0, name=name, of="", phase="Pending", unschedulable=BUSY) for name in ("a", "b")]

    assert findings({"jobs": [job()], "pods": pods})["pods a, b"] is Verdict.FAIL


BUSY = (
    "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, "
    "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
)


def test_jobs_of_runs_are_a_line_each_and_no_fault_of_the_release() -> None:
    waits, failed, runs = (
        launched_job("waits", uid="w", indexes="0-999"),
        launched_job("failed", uid="f", condition=("Failed", "FailedIndexes", "Job has failed indexes")),
        launched_job("runs", uid="r"),
    )
    for one in (waits, failed, runs):
        one["metadata"]["annotations"][names.DIGEST] = "0"
    pods = [launched_pod(at, of="waits", phase="Pending", unschedulable=BUSY) for at in range(950)]
    pods += [launched_pod(0, of="failed", phase="Failed", exit_code=65), launched_pod(0, of="runs")]

    found = findings({"jobs": [waits, failed, runs], "pods": pods})

    told = {subject: verdict for subject, verdict in found.items() if verdict is not Verdict.OK}
    assert told == {"job waits": Verdict.WARN, "job failed": Verdict.WARN}
