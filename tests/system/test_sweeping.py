"""The pipeline service, as a process, takes away what is too old, and nothing else."""

import os
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from suti.core import keys
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.requests import RequestLedger
from suti.infra.store import Store
from tests.servers.nats import NatsServer, nats_server
from tests.system.pipeline_stack import PipelineProcess
from tests.waiting import becomes

__all__ = ["nats_server"]

RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def pipeline(tmp_path: Path, nats_server: NatsServer) -> Generator[PipelineProcess]:
    process = PipelineProcess(tmp_path, nats_server)
    try:
        yield process
    finally:
        process.kill()


def aged(pipeline: PipelineProcess, key: str, age: timedelta) -> None:
    """The object was written so long ago."""
    then = time.time() - age.total_seconds()
    os.utime(pipeline.folder / "store" / key, (then, then))


@pytest.mark.timeout(300)
async def test_a_part_that_a_dead_worker_left_disappears_and_all_others_stay(pipeline: PipelineProcess) -> None:
    store = pipeline.store
    ledger = Ledger(store, RUN)
    finished, dead, slow, young = (ledger.draft(Stage.EXPERTS, shard) for shard in range(4))
    named = finished.write("rows", b"named by a commit")
    finished.commit(counts={}, seconds=0.0)
    left = dead.write("rows", b"left by a dead worker")
    begun, written_since = slow.write("rows", b"begun long ago"), slow.write("more", b"of the same writer")
    fresh = young.write("rows", b"just now")
    scratch, over = (keys.scratch(RUN, Stage.EXPERTS, shard, "expert-0") for shard in (1, 0))
    store.put(scratch, b"to be resumed")
    store.put(over, b"of a shard that is done: a worker that was taken for dead wrote it late")
    for key in (named.key, left.key, begun.key, scratch, over):
        aged(pipeline, key, timedelta(days=8))
    aged(pipeline, written_since.key, timedelta(days=6))

    pipeline.start()
    await becomes(lambda: not store.exists(left.key) and not store.exists(over))

    assert all(store.exists(key) for key in (named.key, begun.key, written_since.key, fresh.key, scratch))
    assert pipeline.stop() == 0


@pytest.mark.timeout(300)
async def test_answers_to_requests_go_after_a_day_whichever_service_gave_them(pipeline: PipelineProcess) -> None:
    old, recent = str(uuid4()), str(uuid4())
    for service in ("pipeline", "generation"):
        for request_id in (old, recent):
            RequestLedger(pipeline.store, service).record(request_id, "0" * 64, b"an answer")
        aged(pipeline, keys.request(service, old), timedelta(hours=25))
        aged(pipeline, keys.request(service, recent), timedelta(hours=23))

    pipeline.start()
    await becomes(lambda: _answers(pipeline.store) == {recent})

    assert len(list(pipeline.store.list(keys.REQUESTS))) == 2


@pytest.mark.timeout(300)
async def test_what_was_drawn_goes_after_a_year_with_the_record_of_where_it_comes_from(
    pipeline: PipelineProcess,
) -> None:
    old, recent = (keys.drawn(str(uuid4()), "record.json") for _ in range(2))
    for key, days in ((old, 366), (recent, 364)):
        pipeline.store.put(key, b"{}")
        aged(pipeline, key, timedelta(days=days))

    pipeline.start()
    await becomes(lambda: not pipeline.store.exists(old))

    assert pipeline.store.exists(recent)


@pytest.mark.timeout(300)
async def test_it_sweeps_again_and_again(pipeline: PipelineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTI_PIPELINE_SWEEP_S", "0.2")
    monkeypatch.setenv("SUTI_PIPELINE_SWEEP_PARTS_AFTER_S", "3600")
    pipeline.start()

    for shard in (0, 1):
        left = Ledger(pipeline.store, RUN).draft(Stage.EXPERTS, shard).write("rows", b"left by a dead worker")
        aged(pipeline, left.key, timedelta(hours=2))
        await becomes(lambda key=left.key: not pipeline.store.exists(key))


def _answers(store: Store) -> set[str]:
    return {info.key.rsplit("/", maxsplit=1)[-1].removesuffix(".json") for info in store.list(keys.REQUESTS)}
