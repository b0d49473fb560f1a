"""What `suti doctor --cluster` says of releases that cannot work, on a real cluster."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.local.cluster_checks import check_cluster
from suti.local.findings import Finding, Verdict
from tests.cluster.conftest import make
from tests.waiting import becomes

RELEASE = "tried"
LABELS = {"app.kubernetes.io/instance": RELEASE, "app": "tried"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
FAILING = """
import json, sys
print(json.dumps({"level": "ERROR", "message": "BUS_UNAVAILABLE: no NATS server at nats://nowhere:4222"}), flush=True)
sys.exit(1)
"""


def workload(image: str, **changes: Any) -> Mapping[str, Any]:
    """A deployment of one pod that sleeps; `changes` are its container's."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": RESTRICTED,
        **changes,
    }
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "tried"}}, "template": template}
    return {"metadata": {"name": "service", "labels": LABELS}, "spec": spec}


async def said(api: KubernetesApi, namespace: str, words: str) -> Finding:
    """The first failure with these words, as soon as there is one."""
    lines: list[Finding] = []
    found: list[Finding] = []

    def is_said() -> bool:
        lines[:] = check_cluster(api, namespace=namespace, release=RELEASE)
        found[:] = [one for one in lines if one.verdict is Verdict.FAIL and words in f"{one.found} {one.remedy}"]
        return bool(found)

    try:
        await becomes(lambda: asyncio.to_thread(is_said), limit_s=90)
    except TimeoutError:
        raise AssertionError(f"not said: {words!r}, but: {lines}") from None
    return found[0]


async def test_a_namespace_without_the_release_is_told_how_to_get_it(api: KubernetesApi, namespace: str) -> None:
    finding = await said(api, namespace, "nothing of release 'tried'")

    assert f"helm install tried charts/suti --namespace {namespace}" in finding.remedy


async def test_a_release_that_works_is_all_well(api: KubernetesApi, namespace: str, image: str) -> None:
    make(api, f"/apis/apps/v1/namespaces/{namespace}/deployments", dict(workload(image)))

    def verdicts() -> list[Verdict]:
        return [one.verdict for one in check_cluster(api, namespace=namespace, release=RELEASE)]

    await becomes(lambda: asyncio.to_thread(lambda: verdicts() == [Verdict.OK] * 2), limit_s=90)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"image": "registry.invalid/suti:none"}, "its image cannot be pulled", id="image"),
        pytest.param({"resources": {"limits": {"nvidia.com/gpu": "8"}}}, "not enough nvidia.com/gpu", id="device"),
        pytest.param(
            {"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "none", "key": "key"}}}]},
            'secret "none" not found',
            id="secret",
        ),
        pytest.param({"command": ["python", "-c", FAILING]}, "BUS_UNAVAILABLE: no NATS server", id="crash"),
        pytest.param({"securityContext": {}}, "violates PodSecurity", id="restricted"),
        pytest.param(
            {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}},
            "running, and not ready",
            id="probe",
        ),
    ],
)
async def test_what_keeps_a_pod_from_working_is_said_in_words(
    api: KubernetesApi, namespace: str, image: str, changes: Mapping[str, Any], words: str
) -> None:
    make(api, f"/apis/apps/v1/namespaces/{namespace}/deployments", dict(workload(**{"image": image, **changes})))

    finding = await said(api, namespace, words)

    assert finding.remedy


async def test_a_claim_of_a_storage_class_that_there_is_not_is_named(
    api: KubernetesApi, namespace: str, image: str
) -> None:
    claim = {
        "metadata": {"name": "data", "labels": LABELS},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none-of-these",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    make(api, f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
    make(api, f"/apis/apps/v1/namespaces/{namespace}/deployments", dict(workload(image)))

    finding = await said(api, namespace, "none-of-these")

    assert finding.subject == "claim data"
    assert "storageClass" in finding.remedy
