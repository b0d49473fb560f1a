"""Between two moments a ticket may be in no queue and in no hand; the pipeline service issues it again."""

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from suti.client.inputs import run_order
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.stages.progress import Preempted
from tests.servers.nats import NatsServer, nats_server
from tests.system.pipeline_stack import PipelineProcess
from tests.waiting import becomes

__all__ = ["nats_server"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def pipeline(tmp_path: Path, nats_server: NatsServer) -> Generator[PipelineProcess]:
    process = PipelineProcess(tmp_path, nats_server)
    try:
        process.start()
        yield process
    finally:
        process.kill()


def begin(pipeline: PipelineProcess) -> str:
    with pipeline.client() as suti:
        return suti.create_run(run_order(str(pipeline.order_files()), preset="toy")).run_id


async def test_a_ticket_whose_worker_died_while_it_was_put_back_is_issued_again(pipeline: PipelineProcess) -> None:
    async with await Bus.connect(pipeline.nats.url, name="test") as bus:
        begin(pipeline)
        place = await bus.pull(Stage.GROUPING, ack_wait_s=30.0)
        (ticket,) = await place.fetch(1, timeout=60)
        await ticket.ack_sync()  # the first half of putting it back; here the worker dies

        (again,) = await place.fetch(1, timeout=60)

    assert again.data == ticket.data
    assert again.metadata.num_delivered == 1


async def test_a_ticket_that_is_put_back_while_it_is_issued_again_is_there_once(pipeline: PipelineProcess) -> None:
    seen: list[ShardTicket] = []

    async def asked_to_stop(ticket: ShardTicket, lease: Lease) -> None:
        seen.append(ticket)
        raise Preempted("a shard")

    async with await Bus.connect(pipeline.nats.url, name="test") as bus:
        run_id = begin(pipeline)
        worker = Worker(
            bus,
            stage=Stage.GROUPING,
            handle=asked_to_stop,
            dead_letters=DeadLetters(pipeline.store),
            patience=Patience(crashes=2),
        )
        depths: list[int] = []
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(stop))
        # The service issues it every half second meanwhile, and the worker puts it back as fast as it can.
        while len(seen) < 200:
            depths.append(await bus.queue_depth(Stage.GROUPING))
        stop.set()
        await working

        async def is_there() -> bool:
            return await bus.queue_depth(Stage.GROUPING) == 1

        await becomes(is_there)

    assert set(seen) == {ShardTicket(run_id=run_id, stage=Stage.GROUPING, shard=0)}
    assert max(depths) <= 1
    assert DeadLetters(pipeline.store).list() == []  # being asked to stop costs no attempt
