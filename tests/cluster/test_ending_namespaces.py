"""A namespace that is deleted while jobs run in it ends: launchers take their jobs along."""

import asyncio
import secrets
from pathlib import Path

import pytest

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.port import JobSpec
from suti.infra.store import Store
from tests.cluster.conftest import gone, make
from tests.cluster.jobs.conftest import template
from tests.waiting import becomes


@pytest.mark.timeout(300)
async def test_a_namespace_that_is_deleted_while_jobs_run_ends(
    api: KubernetesApi, kubeconfig: Path, image: str, tmp_path: Path
) -> None:
    name = f"suti-test-{secrets.token_hex(4)}"
    path = f"/api/v1/namespaces/{name}"
    await asyncio.to_thread(make, api, "/api/v1/namespaces", {"metadata": {"name": name}})
    store = Store.open(f"file://{tmp_path}/store")
    jobs = KubernetesJobs(KubernetesApi.connect(kubeconfig), template(name, image), store, launcher="suti-experts")
    await jobs.start(JobSpec(name="job", command=("sleep", "600"), indexes=(0, 1), parallelism=2))

    def at_work() -> bool:
        return [pod["status"]["phase"] for pod in api.get(f"{path}/pods")["items"]] == ["Running", "Running"]

    await becomes(at_work, limit_s=120)
    await asyncio.to_thread(api.delete, path, {})
    await asyncio.sleep(3)  # pods are told first, launchers among them
    await jobs.close()

    await becomes(lambda: gone(api, path), limit_s=120)
