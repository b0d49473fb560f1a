"""The backend's own decisions, against a small API server; tests/cluster has the real one."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration

from suti.core.errors import RetryableError
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.errors import JobQuotaUsedUp, JobRefused, KubernetesRefused, KubernetesUnavailable
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import JobNameTaken, JobSpec, JobState
from suti.infra.store import Store
from tests.unit.infra.jobs.kubernetes.api_objects import pod
from tests.unit.infra.jobs.kubernetes.small_api import SmallApi, serving
from tests.waiting import becomes

JOB = "/apis/batch/v1/namespaces/suti/jobs/work"
SPEC = JobSpec(name="work", command=("true",), indexes=(0, 1))


@pytest.fixture
def small() -> SmallApi:
    return SmallApi()


@pytest.fixture
def address(small: SmallApi) -> Generator[str]:
    with serving(small) as found:
        yield found


class Launchers:
    """Makes launchers, and closes them."""

    def __init__(self, address: str, store: Store) -> None:
        self._address, self._store = address, store
        self.made: list[KubernetesJobs] = []

    def __call__(
        self, *, gone_s: float = 60.0, told_s: float = 60.0, believed_s: float = 300.0, **wishes: Any
    ) -> KubernetesJobs:
        limits = {"gone_s": gone_s, "told_s": told_s, "believed_s": believed_s}
        template = JobTemplate.model_validate({"namespace": "suti", "image": "x", "graceS": 1, **wishes})
        api = KubernetesApi(Configuration(host=self._address))
        self.made.append(KubernetesJobs(api, template, self._store, launcher="suti-experts", **limits))
        return self.made[-1]


@pytest.fixture
async def launch(address: str, tmp_path: Path, small: SmallApi) -> AsyncGenerator[Launchers]:
    launchers = Launchers(address, Store.open(f"file://{tmp_path}/store"))
    yield launchers
    small.refuse.clear()
    for jobs in launchers.made:
        await jobs.close()


async def state(jobs: KubernetesJobs) -> JobState | None:
    status = await jobs.status("work")
    return None if status is None else status.state


async def test_a_job_is_applied_once_and_seen_at_once(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    assert await jobs.recover() == []

    await jobs.start(SPEC)
    assert await state(jobs) is JobState.PENDING
    await jobs.start(SPEC)

    assert small.calls.count(f"PATCH {JOB}") == 1
    assert await launch().recover() == ["work"]


async def test_another_command_or_other_indexes_may_not_take_the_name(launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)

    for other in (JobSpec("work", ("false",), (0, 1)), JobSpec("work", ("true",), (0, 2))):
        with pytest.raises(JobNameTaken):
            await jobs.start(other)
    # Where a launcher of another version would tell its pods other things, it is the same work.
    await jobs.start(JobSpec("work", ("true",), (0, 1), environment={"SUTI_LOG_LEVEL": "DEBUG"}))


async def test_of_two_launchers_at_once_both_are_content(small: SmallApi, launch: Launchers) -> None:
    launchers = [launch(), launch()]
    for jobs in launchers:
        await jobs.recover()
    specs = [JobSpec("work", ("true",), (0, 1), environment={"TRACEPARENT": trace}) for trace in ("a", "b")]

    await asyncio.gather(*(jobs.start(spec) for jobs, spec in zip(launchers, specs, strict=True)))

    assert [await state(jobs) for jobs in launchers] == [JobState.PENDING] * 2
    assert len([event for path, event in small.log if path == JOB and event["type"] == "ADDED"]) == 1


async def test_status_follows_the_controller(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    small.put("/api/v1/namespaces/suti/pods/work-0", pod(0))

    async def runs() -> bool:
        return await state(jobs) is JobState.RUNNING

    await becomes(runs, limit_s=10)
    small.finish(JOB, "Complete", completedIndexes="0-1")

    async def succeeded() -> bool:
        return await state(jobs) is JobState.SUCCEEDED

    await becomes(succeeded, limit_s=10)


async def test_an_ended_job_is_forgotten_and_one_that_runs_is_not(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    await jobs.forget("work")
    assert await state(jobs) is JobState.PENDING

    small.finish(JOB, "Failed", reason="FailedIndexes", failedIndexes="0")
    await jobs.forget("work")

    assert await state(jobs) is None
    assert JOB not in small.objects
    await jobs.forget("never-was")


async def test_a_name_is_free_only_when_the_old_job_is_really_gone(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    small.finish(JOB, "Complete", completedIndexes="0-1")
    small.keep_deleted = True
    forgetting = asyncio.create_task(jobs.forget("work"))
    await becomes(lambda: "deletionTimestamp" in small.objects[JOB]["metadata"], limit_s=10)
    await asyncio.sleep(0.3)
    assert not forgetting.done()
    starting = asyncio.create_task(jobs.start(SPEC))

    small.remove(JOB)
    await forgetting
    await starting

    assert "deletionTimestamp" not in small.objects[JOB]["metadata"]
    assert await state(jobs) is JobState.PENDING


async def test_cancelling_gives_the_job_a_deadline_that_has_passed(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    cancelling = asyncio.create_task(jobs.cancel("work"))
    await becomes(lambda: small.objects[JOB]["spec"].get("activeDeadlineSeconds") == 1, limit_s=10)
    assert not cancelling.done()

    small.finish(JOB, "Failed", reason="DeadlineExceeded")
    await cancelling

    assert await state(jobs) is JobState.CANCELLED
    await jobs.cancel("work")
    await jobs.cancel("never-was")


async def test_a_cancelled_job_that_waits_in_a_queue_is_never_admitted(small: SmallApi, launch: Launchers) -> None:
    jobs, other = launch(queue="gpus"), launch(queue="gpus")
    await jobs.start(SPEC)
    assert await other.recover() == ["work"]

    await jobs.cancel("work")

    assert JOB not in small.objects
    for one in (jobs, other):  # both have to tell those who wait for it

        async def cancelled(one: KubernetesJobs = one) -> bool:
            return await state(one) is JobState.CANCELLED

        await becomes(cancelled, limit_s=10)
    await jobs.cancel("work")
    await jobs.forget("work")
    assert await state(jobs) is None
    await jobs.start(SPEC)
    assert await state(jobs) is JobState.PENDING


async def test_a_cancelled_job_that_is_admitted_just_then_ends_by_its_deadline(
    small: SmallApi, launch: Launchers
) -> None:
    jobs = launch(queue="gpus")
    await jobs.start(SPEC)
    small.before["DELETE"] = lambda: small.put(JOB, {**small.objects[JOB], "spec": {"suspend": False}})
    cancelling = asyncio.create_task(jobs.cancel("work"))
    await becomes(lambda: small.calls.count(f"DELETE {JOB}") == 1, limit_s=10)
    await asyncio.sleep(0.3)
    assert not cancelling.done()

    small.finish(JOB, "Failed", reason="DeadlineExceeded")
    await cancelling

    assert await state(jobs) is JobState.CANCELLED


async def test_a_job_goes_some_time_after_its_commit_was_seen_and_not_before(
    small: SmallApi, launch: Launchers
) -> None:
    jobs = launch(ttlS=7)
    await jobs.start(SPEC)
    assert "ttlSecondsAfterFinished" not in small.objects[JOB]["spec"]

    await jobs.release("work")
    await jobs.release("never-was")

    assert small.objects[JOB]["spec"]["ttlSecondsAfterFinished"] == 7


async def test_an_owner_is_looked_up_by_its_name_once(small: SmallApi, launch: Launchers) -> None:
    owner = "/apis/apps/v1/namespaces/suti/deployments/suti-experts"
    small.put(owner, {"metadata": {"name": "suti-experts"}})
    jobs = launch(owner={"name": "suti-experts"})
    await jobs.start(SPEC)
    await jobs.start(JobSpec("other", ("true",), (0,)))

    (reference,) = small.objects[JOB]["metadata"]["ownerReferences"]
    assert reference["uid"] == small.objects[owner]["metadata"]["uid"]
    assert small.calls.count(f"GET {owner}") == 1


async def test_why_no_pod_can_be_made_is_asked_of_the_events(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    message = "Error creating: exceeded quota: small, requested: pods=1"
    event = {"metadata": {"name": "e"}, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z"}
    small.put("/api/v1/namespaces/suti/events/e", event)

    assert (await jobs.waits_for("work")).startswith("a quota of the namespace is used up")
    assert await jobs.waits_for("never-was") == ""


async def test_why_a_pod_is_long_on_its_way_is_asked_of_its_own_events(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(SPEC)
    small.put("/api/v1/namespaces/suti/pods/work-0", pod(0, phase="Pending", waiting=("ContainerCreating", "")))
    message = 'MountVolume.SetUp failed for volume "models": secret "models-key" not found'
    event = {"metadata": {"name": "e"}, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z"}
    small.put("/api/v1/namespaces/suti/events/e", event)

    async def is_said() -> bool:
        return (await jobs.waits_for("work")).startswith(f"its pod cannot start ({message})")

    await becomes(is_said, limit_s=10)


async def test_a_quota_that_lets_in_some_pods_of_a_job_is_said_while_they_run(
    small: SmallApi, launch: Launchers
) -> None:
    jobs = launch()
    await jobs.start(JobSpec("work", ("true",), (0, 1, 2), parallelism=3))
    message = 'Error creating: pods "work-2-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2'
    other = "Error creating: timed out"
    for name, said in (("e", message), ("f", other)):
        event = {"metadata": {"name": name}, "message": said, "lastTimestamp": datetime.now(UTC).isoformat()}
        small.put(f"/api/v1/namespaces/suti/events/{name}", event)
    for position in (0, 1):
        small.put(f"/api/v1/namespaces/suti/pods/work-{position}", pod(position))

    async def is_said() -> bool:
        said = await jobs.waits_for("work")
        return said.startswith("some of its pods cannot be created: a quota of the namespace is used up")

    await becomes(is_said, limit_s=10)
    small.put("/api/v1/namespaces/suti/pods/work-2", pod(2))
    await becomes(lambda: nothing_is_said(jobs), limit_s=10)  # all that it may have are there


async def test_a_complaint_of_long_ago_is_not_why_a_job_lacks_pods_now(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(JobSpec("work", ("true",), (0, 1, 2), parallelism=3))
    event = {"metadata": {"name": "e"}, "message": "exceeded quota: small", "lastTimestamp": "2026-01-01T00:00:00Z"}
    small.put("/api/v1/namespaces/suti/events/e", event)
    small.put("/api/v1/namespaces/suti/pods/work-0", pod(0))

    await becomes(lambda: nothing_is_said(jobs), limit_s=10)


async def test_a_job_whose_last_pods_run_lacks_none(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.start(JobSpec("work", ("true",), (0, 1, 2), parallelism=2))
    now = datetime.now(UTC).isoformat()
    event = {"metadata": {"name": "e"}, "message": "exceeded quota: small", "lastTimestamp": now}
    small.put("/api/v1/namespaces/suti/events/e", event)
    job = {**small.objects[JOB], "status": {"completedIndexes": "0,1"}}
    small.put(JOB, job)
    small.put("/api/v1/namespaces/suti/pods/work-2", pod(2))

    await becomes(lambda: nothing_is_said(jobs), limit_s=10)


async def nothing_is_said(jobs: KubernetesJobs) -> bool:
    return await jobs.waits_for("work") == ""


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (403, "jobs.batch is forbidden", KubernetesRefused),
        (401, "Unauthorized", KubernetesRefused),
        (422, "spec.template.spec.containers[0].resources: quantities must match", JobRefused),
        (404, 'namespaces "suti" not found', JobRefused),
        (403, "failed quota: small: must specify limits.cpu", JobRefused),
    ],
)
async def test_a_refused_job_says_what_to_correct(
    small: SmallApi, launch: Launchers, status: int, message: str, error: type[Exception]
) -> None:
    jobs = launch()
    await jobs.recover()
    small.refuse["PATCH"] = (status, message)

    with pytest.raises(error, match=r"check|correct|change"):
        await jobs.start(SPEC)


async def test_a_quota_that_is_used_up_is_waited_for(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.recover()
    small.refuse["PATCH"] = (403, 'jobs.batch "work" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1')

    with pytest.raises(JobQuotaUsedUp, match="raise the quota") as refused:
        await jobs.start(SPEC)

    assert isinstance(refused.value, RetryableError)  # no dead letter
    small.refuse.clear()
    await jobs.start(SPEC)


async def test_a_job_that_takes_its_time_to_go_is_asked_for_again(small: SmallApi, launch: Launchers) -> None:
    jobs = launch(gone_s=0.0)
    await jobs.start(SPEC)
    small.finish(JOB, "Failed", reason="FailedIndexes", failedIndexes="0")
    small.keep_deleted = True

    with pytest.raises(KubernetesUnavailable, match="still being deleted"):
        await jobs.forget("work")
    with pytest.raises(KubernetesUnavailable, match="still being deleted"):
        await jobs.start(SPEC)

    small.remove(JOB)
    await jobs.start(SPEC)


async def test_a_launcher_without_rights_says_so_at_once(small: SmallApi, launch: Launchers) -> None:
    small.refuse["GET"] = (403, "pods is forbidden")

    with pytest.raises(KubernetesRefused, match="role"):
        await launch().recover()


@pytest.mark.parametrize("fault", [(503, "overloaded"), (403, "jobs.batch is forbidden")])
async def test_a_launcher_that_hears_nothing_any_more_says_so_and_tells_no_old_news(
    small: SmallApi, launch: Launchers, fault: tuple[int, str]
) -> None:
    jobs = launch(told_s=0.2, believed_s=2.0)
    await jobs.start(SPEC)
    assert await jobs.waits_for("work") == ""
    small.refuse["GET"] = fault

    async def is_told() -> bool:
        return (await jobs.waits_for("work")).startswith("nothing was heard of")

    await becomes(is_told, limit_s=10)
    assert await state(jobs) is JobState.PENDING  # not yet too old

    async def refuses_to_tell() -> bool:
        try:
            await jobs.status("work")
        except KubernetesUnavailable as error:
            return fault[1] in str(error)
        return False

    await becomes(refuses_to_tell, limit_s=10)
    with pytest.raises(KubernetesUnavailable):
        await jobs.standing("")
    small.refuse.clear()

    async def is_well() -> bool:
        return await jobs.waits_for("work") == "" and await state(jobs) is JobState.PENDING

    await becomes(is_well, limit_s=30)


async def test_a_busy_server_is_no_refusal(small: SmallApi, launch: Launchers) -> None:
    jobs = launch()
    await jobs.recover()
    small.refuse["PATCH"] = (503, "overloaded")

    with pytest.raises(KubernetesUnavailable, match="repeat"):
        await jobs.start(SPEC)
