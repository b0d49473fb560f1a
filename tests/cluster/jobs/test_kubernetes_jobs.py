"""What only a cluster has: pods that are deleted, hang or cannot start, watches that break, owners, queues."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config
from kubernetes.client import Configuration, CoreV1Api

from suti.core import keys
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.errors import JobRefused
from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.port import GangSize, JobSpec, JobState, JobStatus, Progress
from suti.infra.jobs.store_progress import ProgressWriter, progress_key
from suti.infra.store import Store
from tests.cluster.conftest import gone, make
from tests.cluster.jobs.conftest import template
from tests.cluster.jobs.nodes import roomiest
from tests.cluster.jobs.proxy import RESET, Faults, proxied
from tests.waiting import becomes

pytestmark = pytest.mark.timeout(300)
_LIMIT_S = 120

Open = Callable[..., KubernetesJobs]
Object = dict[str, Any]


@pytest.fixture
async def launch(kubeconfig: Path, namespace: str, image: str, store: Store) -> AsyncGenerator[Open]:
    """Launchers with wishes of their own."""
    opened: list[KubernetesJobs] = []

    def open_jobs(address: str | None = None, **wishes: Any) -> KubernetesJobs:
        api = KubernetesApi(Configuration(host=address)) if address else KubernetesApi.connect(kubeconfig)
        opened.append(KubernetesJobs(api, template(namespace, image, **wishes), store, launcher="suti-experts"))
        return opened[-1]

    yield open_jobs
    for jobs in opened:
        await jobs.close()


def shell(script: str, *, name: str = "job", indexes: tuple[int, ...] = (0,), **more: Any) -> JobSpec:
    return JobSpec(name=name, command=("/bin/sh", "-c", script), indexes=indexes, parallelism=4, **more)


async def until(jobs: KubernetesJobs, wanted: Callable[[JobStatus], bool], name: str = "job") -> JobStatus:
    async def is_so() -> bool:
        status = await jobs.status(name)
        return status is not None and wanted(status)

    await becomes(is_so, limit_s=_LIMIT_S)
    status = await jobs.status(name)
    assert status is not None
    return status


async def ended(jobs: KubernetesJobs, name: str = "job") -> JobStatus:
    return await until(jobs, lambda status: status.state.ended, name)


async def running(jobs: KubernetesJobs, name: str = "job") -> None:
    await until(jobs, lambda status: status.state is JobState.RUNNING, name)


def pods_of(api: KubernetesApi, namespace: str, name: str = "job") -> list[Object]:
    query = {"labelSelector": f"batch.kubernetes.io/job-name={name}"}
    return api.get(f"/api/v1/namespaces/{namespace}/pods", query)["items"]


def evict(kubeconfig: Path, namespace: str, pod: str) -> None:
    """As `kubectl drain` does."""
    client: Any = config.new_client_from_config(str(kubeconfig))  # no types
    core: Any = CoreV1Api(client)
    core.create_namespaced_pod_eviction(pod, namespace, {"metadata": {"name": pod, "namespace": namespace}})
    client.close()


async def test_a_deleted_pod_costs_no_attempt(launch: Open, api: KubernetesApi, namespace: str) -> None:
    jobs = launch()
    # Without a handler of its own: as a Python that is still importing. Once stopped, the next pod is done at once.
    script = "[ ${STOPPED_BEFORE:-0} -ge 1 ] || sleep 600"
    await jobs.start(shell(script, attempts_per_index=1))
    await running(jobs)

    (pod,) = pods_of(api, namespace)
    await asyncio.to_thread(api.delete, f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}", {})
    status = await ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)


async def test_an_evicted_pod_costs_no_attempt_however_it_ends(
    launch: Open, api: KubernetesApi, namespace: str, kubeconfig: Path
) -> None:
    jobs = launch()
    await jobs.start(
        shell("trap '' TERM; [ ${STOPPED_BEFORE:-0} -ge 1 ] || while :; do sleep 0.1; done", attempts_per_index=1)
    )
    await running(jobs)

    name = pods_of(api, namespace)[0]["metadata"]["name"]
    await asyncio.to_thread(evict, kubeconfig, namespace, name)
    status = await ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)


async def test_a_pod_that_hangs_is_replaced_and_one_that_speaks_is_not(
    launch: Open, api: KubernetesApi, namespace: str, store: Store
) -> None:
    jobs = launch(hangS=6)
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    script = f"[ ${{FAILED_BEFORE:-0}} -ge 1 ] && exit 0; [ $SUTI_JOB_INDEX = 1 ] && {{ {deaf}; }}; sleep 25"
    await jobs.start(shell(script, indexes=(0, 1), attempts_per_index=2))
    await until(jobs, lambda status: all(one.state is JobState.RUNNING for one in status.indexes.values()))
    first = {pod["metadata"]["name"] for pod in pods_of(api, namespace)}

    alive = ProgressWriter(store, progress_key(keys.job_progress("suti-experts", "job"), 0), every_s=0.5)
    for step in range(60):
        alive.say(Progress(step, 60, "tuning"))
        await asyncio.sleep(0.5)
        if (status := await jobs.status("job")) is not None and status.state.ended:
            break
    alive.close()
    assert (await jobs.progress("job"))[0].note == "tuning"
    status = await ended(jobs)

    assert status.state is JobState.SUCCEEDED
    assert [one.attempts for one in status.indexes.values()] == [1, 2]
    names = {pod["metadata"]["name"] for pod in pods_of(api, namespace)}
    assert sorted(name[:5] for name in names) == ["job-0", "job-1"]
    assert [name[:5] for name in names & first] == ["job-0"]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"resources": {"requests": {"cpu": "4000"}}}, "no node fits: not enough cpu on "),
        ({"accelerator": {"resource": "nvidia.com/gpu", "count": 4000}}, "no node fits: not enough nvidia.com/gpu"),
        ({"nodeSelector": {"nobody": "has-this"}}, "no node takes it"),
        ({"image": "registry.invalid/none:1"}, "its image cannot be pulled"),
        ({"queue": "gpus"}, "suspended: queue 'gpus'"),
    ],
)
async def test_what_a_job_waits_for_is_said_in_words(launch: Open, wishes: Object, said: str) -> None:
    jobs = launch(**wishes)
    await jobs.start(shell("exit 0"))

    async def is_said() -> bool:
        return said in await jobs.waits_for("job")

    await becomes(is_said, limit_s=60)
    status = await jobs.status("job")
    assert status is not None
    assert status.state is JobState.PENDING
    await jobs.cancel("job")
    assert (await ended(jobs)).state is JobState.CANCELLED


async def test_a_job_behind_others_waits_for_them_and_not_for_ever(launch: Open, api: KubernetesApi) -> None:
    node, free = await asyncio.to_thread(roomiest, api)
    # More than half of what is free there: never two at a time, and what else may come meanwhile finds room.
    wishes = {"requests": {"cpu": f"{free * 6 // 10}m", "memory": "16Mi"}}
    jobs = launch(resources=wishes, nodeSelector={"kubernetes.io/hostname": node})
    await jobs.start(shell("sleep 600", name="first"))
    await running(jobs, "first")
    await jobs.start(shell("sleep 600", name="second"))

    async def is_said() -> bool:
        return (await jobs.waits_for("second")).startswith("waits behind other pods: not enough cpu")

    await becomes(is_said, limit_s=60)
    assert await jobs.waits_for("first") == ""
    await jobs.cancel("first")
    await running(jobs, "second")
    assert await jobs.waits_for("second") == ""


async def test_a_quota_that_is_used_up_is_said(launch: Open, api: KubernetesApi, namespace: str) -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}}
    await asyncio.to_thread(make, api, f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    jobs = launch()
    await jobs.start(shell("exit 0"))

    async def is_said() -> bool:
        return "a quota of the namespace is used up" in await jobs.waits_for("job")

    await becomes(is_said, limit_s=60)


async def test_a_quota_that_lets_in_some_pods_is_said_while_they_run(
    launch: Open, api: KubernetesApi, namespace: str
) -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}}
    await asyncio.to_thread(make, api, f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    jobs = launch()
    await jobs.start(shell("sleep 600", indexes=(0, 1, 2)))
    await running(jobs)

    async def is_said() -> bool:
        said = await jobs.waits_for("job")
        return said.startswith("some of its pods cannot be created: a quota of the namespace is used up")

    await becomes(is_said, limit_s=60)
    await jobs.cancel("job")


@pytest.mark.parametrize("fault", [410, 429, 500, RESET])
async def test_a_watch_that_fails_misses_nothing(launch: Open, kubeconfig: Path, fault: int | str) -> None:
    faults, real = Faults(), Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=real)
    with proxied(real, faults) as address:
        jobs = launch(address)
        await jobs.recover()
        await jobs.start(shell("sleep 2; exit 65", indexes=(0, 1)))
        await running(jobs)

        faults.watches += [fault, fault, fault]
        faults.cut()
        status = await ended(jobs)

        assert faults.met == 3
        assert [one.exit_code for one in status.indexes.values()] == [65, 65]
        await jobs.close()


async def test_calls_wait_out_a_server_that_is_busy(launch: Open, kubeconfig: Path) -> None:
    faults, real = Faults(), Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=real)
    with proxied(real, faults) as address:
        jobs = launch(address)
        await jobs.recover()
        faults.calls += [429, 500, RESET]
        await jobs.start(shell("exit 0"))

        assert (await ended(jobs)).state is JobState.SUCCEEDED
        await jobs.close()


async def test_pods_hold_no_token_and_write_to_tmp_alone(launch: Open) -> None:
    jobs = launch()
    script = "[ ! -e /var/run/secrets/kubernetes.io ] && touch /tmp/x && ! touch /x 2>/dev/null && [ $(id -u) = 65532 ]"
    await jobs.start(shell(script))

    assert (await ended(jobs)).state is JobState.SUCCEEDED


async def test_shards_that_are_no_completion_indexes_find_their_own(launch: Open) -> None:
    jobs = launch()
    await jobs.start(shell('echo "$SUTI_JOB_INDEXES at $JOB_COMPLETION_INDEX"', indexes=(3, 4, 9)))

    status = await ended(jobs)

    assert list(status.indexes) == [3, 4, 9]
    assert await jobs.logs("job", 9) == "3-4,9 at 2\n"


async def test_jobs_go_with_their_owner(launch: Open, api: KubernetesApi, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await asyncio.to_thread(make, api, path, {"metadata": {"name": "release"}})
    jobs = launch(owner={"apiVersion": "v1", "kind": "ConfigMap", "name": "release"})
    await jobs.start(shell("sleep 600"))
    await running(jobs)

    await asyncio.to_thread(api.delete, f"{path}/release", {})

    await becomes(lambda: gone(api, f"/apis/batch/v1/namespaces/{namespace}/jobs/job"), limit_s=_LIMIT_S)
    await becomes(lambda: pods_of(api, namespace) == [], limit_s=_LIMIT_S)


async def test_a_job_stays_until_it_is_released_and_goes_then(launch: Open, api: KubernetesApi, namespace: str) -> None:
    jobs = launch(ttlS=1)
    await jobs.start(shell("exit 0"))
    await ended(jobs)
    await asyncio.sleep(3)
    assert not gone(api, f"/apis/batch/v1/namespaces/{namespace}/jobs/job")

    await jobs.release("job")

    await becomes(lambda: gone(api, f"/apis/batch/v1/namespaces/{namespace}/jobs/job"), limit_s=_LIMIT_S)

    async def is_nothing() -> bool:
        return await jobs.status("job") is None

    await becomes(is_nothing, limit_s=10)


async def test_what_the_server_does_not_take_is_said(launch: Open) -> None:
    jobs = launch(priorityClassName="no-such-class", resources={"requests": {"cpu": "many"}})

    with pytest.raises(JobRefused, match="quantities"):
        await jobs.start(shell("exit 0"))


@pytest.mark.parametrize(
    ("spec", "wishes"),
    [
        (shell("x", indexes=tuple(range(100_001))), {}),
        (shell("x", indexes=tuple(range(0, 20_000, 2)), deadline_s=60.0), {}),
        (shell("x", resources={"cpu": "1", "memory": "1Gi", "ephemeral-storage": "2Gi"}), {"queue": "q"}),
        (
            shell("x"),
            {
                "accelerator": {"resource": "google.com/tpu", "count": 4},
                "nodeSelector": {"a": "b"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
                "volumeMounts": [{"name": "shm", "mountPath": "/shm"}],
                "tmpSize": "1Gi",
                "fsGroup": 65532,
                "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "envFrom": [{"configMapRef": {"name": "c"}}],
            },
        ),
    ],
)
async def test_the_server_takes_every_manifest_that_we_make(
    api: KubernetesApi, namespace: str, image: str, spec: JobSpec, wishes: Object
) -> None:
    manifest = job_manifest(
        replace(spec, parallelism=200_000),
        template(namespace, image, **wishes),
        launcher="suti-experts",
        progress_prefix="jobs/suti-experts/job/",
    )
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/job"

    made = await asyncio.to_thread(api.apply, path, manifest, manager="tests", dry_run=True)

    assert made["spec"]["completions"] == len(spec.indexes)


async def test_the_server_takes_a_gang(api: KubernetesApi, namespace: str, image: str) -> None:
    gang = GangSize(pods=2, processes=4)
    spec = JobSpec("train", ("python", "-m", "program"), (0,), gang=gang)
    wishes = template(namespace, image, accelerator={"resource": "nvidia.com/gpu"}, gangService="gangs")
    job = gang_manifest(spec, gang, wishes, launcher="suti-apprentice", progress_prefix="jobs/x/")
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/train"

    made = await asyncio.to_thread(api.apply, path, job, manager="tests", dry_run=True)

    assert (made["spec"]["completions"], made["spec"]["maxFailedIndexes"]) == (2, 0)
    assert made["spec"]["successPolicy"]["rules"] == [{"succeededCount": 1}]
