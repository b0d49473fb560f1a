"""A bus on a real nats-server of the test's own, and dead letters in a folder."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Handle, Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.store import Store
from tests.servers.nats import bus, nats_server

__all__ = ["bus", "nats_server"]

RUN = "01JD0000000000000000000000"
PATIENCE = Patience(crashes=3, backoff_s=(0.05,))


@pytest.fixture
def dead_letters(tmp_path: Path) -> DeadLetters:
    return DeadLetters(Store.open(f"file://{tmp_path}/store"))


def ticket(shard: int = 0, *, stage: str = "filtering") -> ShardTicket:
    return ShardTicket(run_id=RUN, stage=stage, shard=shard)


@asynccontextmanager
async def working(
    bus: Bus,
    handle: Handle,
    dead_letters: DeadLetters,
    *,
    ack_wait_s: float = 30.0,
    patience: Patience = PATIENCE,
    concurrency: int = 1,
    drain_s: float = 4.0,
    outlives_worker: bool = False,
    name: str | None = None,
) -> AsyncGenerator[asyncio.Event]:
    """A worker that works until the block ends, or the event that it gives is set."""
    worker = Worker(
        bus,
        stage="filtering",
        handle=handle,
        dead_letters=dead_letters,
        ack_wait_s=ack_wait_s,
        patience=patience,
        concurrency=concurrency,
        drain_s=drain_s,
        outlives_worker=outlives_worker,
        name=name,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


@asynccontextmanager
async def worker_process(script: str, *arguments: str | Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A worker in a process of its own, to be killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *map(str, arguments))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
