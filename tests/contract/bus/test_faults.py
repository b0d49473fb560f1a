import asyncio
import time
from pathlib import Path

from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetters
from tests.contract.bus.conftest import ticket, worker_process, working
from tests.metering import measured, more
from tests.servers.nats import NatsServer
from tests.waiting import appears, becomes

WORKER = """
import asyncio, os, sys, time
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.store import Store

url, store, mark = sys.argv[1:]

async def main() -> None:
    bus = await Bus.connect(url, name="worker")

    async def handle(ticket, lease):
        with open(mark, "a") as marks:
            marks.write(f"{os.getpid()}\\n")
        await lease.keep_alive(time.sleep, 60)

    worker = Worker(bus, stage="filtering", handle=handle, dead_letters=DeadLetters(Store.open(store)), ack_wait_s=1)
    await worker.run(asyncio.Event())

asyncio.run(main())
"""


async def test_the_ticket_of_a_killed_worker_goes_to_another(
    bus: Bus, dead_letters: DeadLetters, nats_server: NatsServer, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    await bus.issue(ticket(4))
    async with worker_process(WORKER, nats_server.url, f"file://{tmp_path}/store", mark) as victim:
        await appears(mark)
        victim.kill()
    handled: list[tuple[int, int]] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append((ticket.shard, lease.delivery))

    async with working(bus, handle, dead_letters, ack_wait_s=1):
        await becomes(lambda: bool(handled))

    assert handled == [(4, 2)]


async def test_a_ticket_that_kills_every_worker_becomes_a_dead_letter(
    bus: Bus, dead_letters: DeadLetters, nats_server: NatsServer, tmp_path: Path
) -> None:
    await bus.issue(ticket())
    mark = tmp_path / "mark"
    async with worker_process(WORKER, nats_server.url, f"file://{tmp_path}/store", mark) as victim:
        await appears(mark)
        victim.kill()
    handled: list[int] = []
    counted = "suti.dead.letters", "suti.stage"
    before = measured(*counted)

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append(lease.delivery)

    async with working(bus, handle, dead_letters, ack_wait_s=1, patience=Patience(crashes=1)):
        await becomes(lambda: "filtering" in measured(*counted))  # 0 from the start: what appears as 1 raises no alert
        await becomes(lambda: bool(dead_letters.list()))
    assert more(*counted, before) == {"filtering": 1}

    (letter,) = dead_letters.list()
    assert handled == []
    assert (letter.reason, letter.deliveries) == ("DELIVERIES_EXHAUSTED", 1)


async def test_a_server_that_dies_and_comes_back_loses_no_ticket_and_the_workers_go_on(
    bus: Bus, dead_letters: DeadLetters, nats_server: NatsServer
) -> None:
    handled: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append(ticket.shard)
        if ticket.shard == 0:
            await asyncio.to_thread(nats_server.kill)
            await asyncio.to_thread(nats_server.start)

    for shard in range(4):
        await bus.issue(ticket(shard))
    async with working(bus, handle, dead_letters, ack_wait_s=2):
        await becomes(lambda: set(handled) == {0, 1, 2, 3})

        async def empty() -> bool:
            return await bus.queue_depth("filtering") == 0

        await becomes(empty)

    assert sorted(handled)[-3:] == [1, 2, 3]  # shard 0's answer may have been lost with the server: then it came twice


async def test_after_the_servers_disk_was_wiped_tickets_are_issued_again_and_the_workers_go_on(
    bus: Bus, dead_letters: DeadLetters, nats_server: NatsServer
) -> None:
    handled: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append(ticket.shard)

    async with working(bus, handle, dead_letters):
        await bus.issue(ticket(0))
        await becomes(lambda: handled == [0])
        await asyncio.to_thread(nats_server.kill)
        nats_server.wipe()
        await asyncio.to_thread(nats_server.start)
        await becomes(lambda: bus.connected)

        assert await bus.issue(ticket(1))  # makes the queue anew
        await becomes(lambda: handled == [0, 1])


async def test_work_whose_ticket_was_wiped_is_asked_to_stop(
    bus: Bus, dead_letters: DeadLetters, nats_server: NatsServer
) -> None:
    asked: list[bool] = []

    def work(lease: Lease) -> None:
        while not lease.stopping():
            time.sleep(0.01)
        asked.append(lease.lost)

    begun = asyncio.Event()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        begun.set()
        await lease.keep_alive(work, lease)

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, ack_wait_s=0.6):
        await begun.wait()
        await asyncio.to_thread(nats_server.kill)
        nats_server.wipe()
        await asyncio.to_thread(nats_server.start)
        await becomes(lambda: bool(asked))

    assert asked == [True]
