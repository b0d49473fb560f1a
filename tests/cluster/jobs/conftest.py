"""Jobs on both backends, with a way for a job's attempts to know of one another on each."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import JobsBackend, JobSpec, JobStatus
from suti.infra.store import Store
from tests.waiting import becomes

# A pod has no disk that outlives it; what it is told of the attempts before it is how a script knows which one it is.
FAILURES = {
    "name": "FAILED_BEFORE",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-index-failure-count']"}},
}
STOPPED = {
    "name": "STOPPED_BEFORE",
    "valueFrom": {
        "fieldRef": {"fieldPath": "metadata.annotations['batch.kubernetes.io/job-index-ignored-failure-count']"}
    },
}
# The same on one machine, where they share a folder.
LOCALLY = """
at=$ATTEMPTS/$SUTI_JOB_NAME-$SUTI_JOB_INDEX; touch $at.failed $at.stopped
FAILED_BEFORE=$(wc -l < $at.failed); STOPPED_BEFORE=$(wc -l < $at.stopped)
trap 'code=$?; case $code in 0) ;; 143) echo >> $at.stopped ;; *) echo >> $at.failed ;; esac' EXIT
"""


@dataclass
class Backend:
    """One backend and what differs in how a test uses it."""

    name: str
    open: Callable[[], JobsBackend]  # another launcher of the same jobs
    preamble: str
    environment: dict[str, str]
    limit_s: float

    def shell(
        self, script: str, *, name: str = "job", indexes: tuple[int, ...] = (0,), attempts: int = 2, **more: Any
    ) -> JobSpec:
        """A job of a shell script that knows $FAILED_BEFORE and $STOPPED_BEFORE, of its index."""
        return JobSpec(
            name=name,
            command=("/bin/sh", "-c", self.preamble + script),
            indexes=indexes,
            parallelism=2,
            attempts_per_index=attempts,
            environment={"GREETING": "hello", **self.environment},
            **more,
        )

    async def until(self, jobs: JobsBackend, name: str, wanted: Callable[[JobStatus], bool]) -> JobStatus:
        """The job's status once it is as wanted."""
        found: list[JobStatus] = []

        async def is_so() -> bool:
            status = await jobs.status(name)
            if status is not None and wanted(status):
                found.append(status)
            return bool(found)

        await becomes(is_so, limit_s=self.limit_s)
        return found[0]

    async def ended(self, jobs: JobsBackend, name: str = "job") -> JobStatus:
        """The job's status once it ended."""
        return await self.until(jobs, name, lambda status: status.state.ended)


def template(namespace: str, image: str, /, **wishes: Any) -> JobTemplate:
    """Pods of little, in a namespace of the restricted level."""
    told: dict[str, Any] = {
        "namespace": namespace,
        "image": image,
        "runAsUser": 65532,
        "graceS": 2,
        "hangS": None,
        "env": [FAILURES, STOPPED],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        **wishes,
    }
    return JobTemplate.model_validate(told)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Where launchers read progress."""
    return Store.open(f"file://{tmp_path}/store")


@pytest.fixture
async def local_backend(tmp_path: Path) -> AsyncGenerator[Backend]:
    """Jobs that are processes of this machine."""
    (tmp_path / "attempts").mkdir()
    opened: list[JobsBackend] = []

    def another() -> JobsBackend:
        opened.append(LocalJobs(tmp_path / "jobs", slots=4, grace_s=2.0, retry_s=0.01))
        return opened[-1]

    yield Backend("local", another, LOCALLY, {"ATTEMPTS": str(tmp_path / "attempts")}, limit_s=20)
    for jobs in opened:
        await jobs.close()


@pytest.fixture
async def kubernetes_backend(kubeconfig: Path, namespace: str, image: str, store: Store) -> AsyncGenerator[Backend]:
    """Jobs that are pods of a cluster."""
    opened: list[JobsBackend] = []

    def another() -> JobsBackend:
        api = KubernetesApi.connect(kubeconfig)
        opened.append(KubernetesJobs(api, template(namespace, image), store, launcher="suti-experts"))
        return opened[-1]

    yield Backend("kubernetes", another, "", {}, limit_s=120)
    for jobs in opened:
        await jobs.close()


@pytest.fixture(params=["local", "kubernetes"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """One backend, then the other. Not a coroutine: those that it asks for are, and loops do not nest."""
    return request.getfixturevalue(f"{request.param}_backend")


@pytest.fixture
async def jobs(backend: Backend) -> JobsBackend:
    """A launcher that has just begun."""
    begun = backend.open()
    await begun.recover()
    return begun
