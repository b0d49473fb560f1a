"""A cluster to test on: any that KUBECONFIG names. Not collected by `make test`.

    KUBECONFIG=... pytest tests/cluster

`SUTI_TEST_IMAGE` is an image with a Python and a shell (default python:3.12-slim-bookworm). `LOAD_IMAGE` is a command
that hands a local image to the cluster's nodes (`kind load docker-image`), run once with the image's name behind it;
unset: the nodes have it, or pull it. A default storage class must be there.
"""

import asyncio
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.errors import ApiFault

Object = dict[str, Any]


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    told = os.environ.get("KUBECONFIG")
    if not told:
        pytest.skip("KUBECONFIG names no cluster: start one, such as kind, and set it")
    return Path(told)


@pytest.fixture(scope="session")
def image() -> str:
    name = os.environ.get("SUTI_TEST_IMAGE", "docker.io/library/python:3.12-slim-bookworm")
    if load := os.environ.get("LOAD_IMAGE"):
        subprocess.run([*shlex.split(load), name], check=True)
    return name


@pytest.fixture
def api(kubeconfig: Path) -> Generator[KubernetesApi]:
    found = KubernetesApi.connect(kubeconfig)
    yield found
    found.close()


@pytest.fixture
async def namespace(api: KubernetesApi) -> AsyncGenerator[str]:
    """A namespace of this test's own, at the restricted Pod Security level; gone afterwards."""
    name = f"suti-test-{secrets.token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await asyncio.to_thread(make, api, "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    yield name
    # Jobs first: a failed pod stays until the index's next one is there, which a namespace that goes does not take.
    jobs = f"/apis/batch/v1/namespaces/{name}/jobs"
    await asyncio.to_thread(api.delete, jobs, {"propagationPolicy": "Background"})
    await asyncio.to_thread(api.delete, f"/api/v1/namespaces/{name}", {})


def make(api: KubernetesApi, path: str, body: Object) -> Object:
    """An object of a test's own: `path` is the kind's."""
    kinds = {
        "namespaces": "Namespace",
        "resourcequotas": "ResourceQuota",
        "configmaps": "ConfigMap",
        "pods": "Pod",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "deployments": "Deployment",
    }
    group = path.split("/namespaces", maxsplit=1)[0].removeprefix("/apis/").removeprefix("/api/")
    told = {"apiVersion": group, "kind": kinds[path.rsplit("/", 1)[-1]], **body}
    return api.apply(f"{path}/{body['metadata']['name']}", json.loads(json.dumps(told)), manager="tests")


def gone(api: KubernetesApi, path: str) -> bool:
    """Whether there is no such object."""
    try:
        api.get(path)
    except ApiFault as fault:
        return fault.status == 404
    return False
