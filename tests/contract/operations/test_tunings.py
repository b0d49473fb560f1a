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
from suti.infra.jobs.kubernetes.api import KubernetesApi
from suti.infra.jobs.kubernetes.backend import KubernetesJobs
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.local import LocalJobs
from suti.infra.operations import OperationRecords
from suti.infra.store import Store
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.wave_jobs import JobPlan
from suti_experts.tunings import Tunings
from tests.waiting import becomes

OPERATION = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NAME = f"operations/{OPERATION}"


def accepted(store: Store) -> None:
    """What a process leaves that dies right after it accepted a tuning."""
    record = {"request_id": "r", "created_at": datetime.now(UTC).isoformat(), "steps": 3}
    OperationRecords(store, "experts").accept(OPERATION, record)
    store.put(keys.operation_part(OPERATION, "request.bin"), b"")


@asynccontextmanager
async def looked_after(store: Store, folder: Path, program: str) -> AsyncGenerator[tuple[Tunings, LocalJobs]]:
    """Tunings that nobody asks after, by jobs that run the program."""
    jobs = LocalJobs(folder / "jobs", slots=1, retry_s=0.01)
    catalogue = ModelCatalogue.from_path(str(folder / "models"))
    plan = JobPlan(command=(sys.executable, "-c", program), attempts=1)
    tunings = Tunings(store, jobs, plan, catalogue, preset="toy", base="base")
    stop = asyncio.Event()
    looking = asyncio.create_task(tunings.keep_going(stop, every_s=0.05))
    try:
        yield tunings, jobs
    finally:
        stop.set()
        await looking
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
