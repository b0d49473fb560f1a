"""Tunings as operations, with jobs that are real processes and tune nothing."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

from kubernetes.client import Configuration

from suti.core import keys
from suti.infra.jobs.entry import JobContext
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import Jobs, JobSpec, JobState
from suti.infra.operations import OperationRecords
from suti.infra.store import Store
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.wave_jobs import JobPlan
from suti_experts.settings import ExpertsSettings
from suti_experts.tuning_job import tune
from suti_experts.tunings import Tunings
from tests.unit.infra.jobs.kubernetes.small_api import SmallApi, serving
from tests.waiting import appears, becomes

OPERATION, NEWER = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW"
NAME = f"operations/{OPERATION}"
JOB = f"suti-tune-{OPERATION.lower()}"
JOB_PATH = f"/apis/batch/v1/namespaces/suti/jobs/{JOB}"
SLEEP = "import time; time.sleep(600)"


def accepted(store: Store, operation: str = OPERATION) -> None:
    """What a process leaves that dies right after it accepted a tuning."""
    record = {"request_id": "r", "created_at": datetime.now(UTC).isoformat(), "steps": 3}
    OperationRecords(store, "experts").accept(operation, record)
    store.put(keys.operation_part(operation, "request.bin"), b"")


def marked(store: Store, part: str, operation: str = OPERATION) -> None:
    store.put(keys.operation_part(operation, part), b"{}" if part == "cancelled" else b"")


def is_open(store: Store, operation: str = OPERATION) -> bool:
    return operation in {one for one, _ in OperationRecords(store, "experts").open()}


@asynccontextmanager
async def looked_after(store: Store, folder: Path, program: str) -> AsyncGenerator[tuple[Tunings, LocalJobs]]:
    """Tunings that nobody asks after, by jobs that run the program."""
    jobs = LocalJobs(folder / "jobs", slots=1, retry_s=0.01)
    tunings = tunings_by(jobs, store, folder, program)
    try:
        async with looking_after(tunings):
            yield tunings, jobs
    finally:
        await jobs.close()


def tunings_by(jobs: Jobs, store: Store, folder: Path, program: str = SLEEP) -> Tunings:
    catalogue = ModelCatalogue.from_path(str(folder / "models"))
    plan = JobPlan(command=(sys.executable, "-c", program), attempts=1)
    return Tunings(store, jobs, plan, catalogue, preset="toy", base="base")


@asynccontextmanager
async def looking_after(tunings: Tunings) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    looking = asyncio.create_task(tunings.keep_going(stop, every_s=0.05))
    try:
        yield
    finally:
        stop.set()
        await looking


@asynccontextmanager
async def on_a_cluster(store: Store) -> AsyncGenerator[tuple[SmallApi, KubernetesJobs]]:
    """Jobs of an API server that a test may disturb."""
    small = SmallApi()
    with serving(small) as address:
        template = JobTemplate.model_validate({"namespace": "suti", "image": "x", "graceS": 1})
        api = KubernetesApi(Configuration(host=address))
        jobs = KubernetesJobs(api, template, store, launcher="suti-experts")
        try:
            yield small, jobs
        finally:
            await jobs.close()


async def test_an_accepted_tuning_is_started_though_nobody_asks_after_it(store: Store, tmp_path: Path) -> None:
    accepted(store)
    result = tmp_path / "store" / keys.operation_part(OPERATION, "result.bin")
    program = f"open({str(result)!r}, 'wb').close()"

    async with looked_after(store, tmp_path, program) as (tunings, _):
        await becomes(lambda: not list(OperationRecords(store, "experts").open()), limit_s=30)
        operation = await tunings.get(NAME)

    assert operation.done
    assert operation.HasField("response")


async def test_a_result_is_told_though_the_cluster_that_made_it_does_not_answer(store: Store, tmp_path: Path) -> None:
    accepted(store)
    store.put(keys.operation_part(OPERATION, "result.bin"), b"")
    with socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        api = KubernetesApi(Configuration(host=f"http://127.0.0.1:{nobody.getsockname()[1]}"))
        template = JobTemplate(namespace="suti", image="x")
        jobs = KubernetesJobs(api, template, store, launcher="suti-experts")
        plan, catalogue = JobPlan(command=("true",)), ModelCatalogue.from_path(str(tmp_path / "models"))
        try:
            async with asyncio.timeout(5):
                tunings = Tunings(store, jobs, plan, catalogue, preset="toy", base="base")
                operation = await tunings.get(NAME)
        finally:
            await jobs.close()

    assert operation.done
    assert operation.HasField("response")


async def test_a_failed_tuning_stays_failed_when_its_job_is_forgotten(store: Store, tmp_path: Path) -> None:
    accepted(store)

    async with looked_after(store, tmp_path, "raise SystemExit(65)") as (tunings, jobs):
        await becomes(lambda: not list(OperationRecords(store, "experts").open()), limit_s=30)
        await jobs.forget(f"suti-tune-{OPERATION.lower()}")
        first, second = await tunings.get(NAME), await tunings.get(NAME)

    assert first.done
    assert first.error.code == 3  # INVALID_ARGUMENT: what was sent cannot be tuned on
    assert second == first
    assert not await jobs.status(f"suti-tune-{OPERATION.lower()}")


async def test_a_job_whose_cancelling_was_cut_short_after_the_mark_is_ended_all_the_same(
    store: Store, tmp_path: Path
) -> None:
    accepted(store)
    began = tmp_path / "began"

    async with looked_after(store, tmp_path, f"open({str(began)!r}, 'w').write('x'); {SLEEP}") as (tunings, jobs):
        await appears(began)
        marked(store, "cancelled")  # and no word to the job
        await becomes(lambda: not is_open(store))
        status, operation = await jobs.status(JOB), await tunings.get(NAME)

    assert status is not None
    assert status.state is JobState.CANCELLED
    assert (operation.done, operation.error.code) == (True, 1)  # CANCELLED


async def test_a_job_that_starts_while_another_replica_cancels_is_ended(store: Store, tmp_path: Path) -> None:
    accepted(store)
    async with on_a_cluster(store) as (small, jobs):

        def elsewhere() -> None:  # the other replica finds no job yet, and is done
            if JOB_PATH not in small.objects:
                marked(store, "cancelled")
                OperationRecords(store, "experts").end(OPERATION)

        small.before["PATCH"] = elsewhere
        async with looking_after(tunings_by(jobs, store, tmp_path)):
            await becomes(
                lambda: small.objects.get(JOB_PATH, {}).get("spec", {}).get("activeDeadlineSeconds") == 1, limit_s=10
            )
            small.finish(JOB_PATH, "Failed", reason="DeadlineExceeded")
            await becomes(lambda: "ttlSecondsAfterFinished" in small.objects[JOB_PATH]["spec"], limit_s=10)


async def test_a_tuning_that_waits_for_a_quota_keeps_no_newer_one_from_ending(store: Store, tmp_path: Path) -> None:
    newer = f"suti-tune-{NEWER.lower()}"
    async with on_a_cluster(store) as (small, jobs):
        await jobs.start(JobSpec(newer, ("true",), (0,)))
        path = f"/apis/batch/v1/namespaces/suti/jobs/{newer}"
        small.finish(path, "Complete", completedIndexes="0")
        for operation in (OPERATION, NEWER):
            accepted(store, operation)
        marked(store, "result.bin", NEWER)
        full = (403, "jobs.batch is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1")

        def quota() -> None:  # as the API server's: it refuses new jobs alone, until the newer one is let go
            free = "ttlSecondsAfterFinished" in small.objects[path]["spec"]
            small.refuse = {} if free else {"APPLY": full}

        small.before["PATCH"] = quota
        async with looking_after(tunings_by(jobs, store, tmp_path)):
            await becomes(lambda: not is_open(store, NEWER), limit_s=10)
            await becomes(lambda: JOB_PATH in small.objects, limit_s=10)


def test_a_job_that_begins_after_its_tuning_was_cancelled_does_nothing(store: Store) -> None:
    accepted(store)
    marked(store, "cancelled")

    tune(JobContext(JOB, 0), ExpertsSettings(), store, OPERATION)  # its request is empty: it would fail

    assert store.exists(keys.operation_part(OPERATION, "result.bin")) is False
