import asyncio
from contextlib import AbstractAsyncContextManager

import nats
import pytest

from suti.infra.bus.connection import Bus, BusRefused, BusUnavailable, QueueState
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket, TicketUnreadable
from suti.infra.dead_letters import DeadLetters
from tests.contract.bus.conftest import RUN, ticket, working
from tests.servers.nats import NatsServer, free_port
from tests.waiting import becomes


async def test_each_ticket_is_handled_once_among_two_workers(bus: Bus, dead_letters: DeadLetters) -> None:
    handled: list[tuple[str, int]] = []

    def worker(name: str) -> AbstractAsyncContextManager[asyncio.Event]:
        async def handle(ticket: ShardTicket, lease: Lease) -> None:
            handled.append((name, ticket.shard))
            await asyncio.sleep(0.01)

        return working(bus, handle, dead_letters)

    for shard in range(12):
        await bus.issue(ticket(shard))
    async with worker("a"), worker("b"):
        await becomes(lambda: len(handled) >= 12)
        await asyncio.sleep(0.1)

    assert sorted(shard for _, shard in handled) == list(range(12))
    assert {name for name, _ in handled} == {"a", "b"}
    assert await bus.queue_depth("filtering") == 0


async def test_a_ticket_is_in_the_queue_at_most_once_until_it_is_done(bus: Bus, dead_letters: DeadLetters) -> None:
    first, again = await bus.issue(ticket()), await bus.issue(ticket())
    in_hand = asyncio.Event()
    go = asyncio.Event()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        in_hand.set()
        await go.wait()

    async with working(bus, handle, dead_letters):
        await in_hand.wait()
        while_in_work = await bus.issue(ticket())
        state = await bus.queue_state("filtering")
        go.set()

        async def done() -> bool:
            return await bus.queue_depth("filtering") == 0

        await becomes(done)
    afterwards = await bus.issue(ticket())

    assert (first, again, while_in_work, afterwards) == (True, False, False, True)
    assert state == QueueState(waiting=0, working=1)


async def test_stages_have_queues_of_their_own(bus: Bus, dead_letters: DeadLetters) -> None:
    handled: list[str] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append(ticket.stage)

    await bus.issue(ticket(stage="captioning"))
    await bus.issue(ticket(stage="filtering"))
    async with working(bus, handle, dead_letters):
        await becomes(lambda: bool(handled))
        await asyncio.sleep(0.1)

    assert handled == ["filtering"]
    assert await bus.queue_depth("captioning") == 1
    assert await bus.queue_depth("experts") == 0


async def test_the_tickets_of_a_cancelled_run_are_withdrawn_and_others_stay(bus: Bus) -> None:
    for shard in range(3):
        await bus.issue(ticket(shard))
    await bus.issue(ShardTicket(run_id="OTHER", stage="filtering", shard=0))

    await bus.withdraw(RUN)

    assert await bus.queue_depth("filtering") == 1


async def test_streams_can_be_ensured_by_many_at_once_and_again(nats_server: NatsServer) -> None:
    buses = [await Bus.connect(nats_server.url, name=f"service-{n}") for n in range(4)]
    await asyncio.gather(*(bus.ensure_streams() for bus in buses))

    await buses[0].issue(ticket())
    await buses[1].ensure_streams()

    assert await buses[2].queue_depth("filtering") == 1
    for bus in buses:
        await bus.close()


async def test_an_announcement_reaches_who_listens_and_nobody_else(bus: Bus) -> None:
    async with bus.listen("committed") as events:
        await bus.announce("cancelled", run_id=RUN)
        await bus.announce("committed", run_id=RUN, shard=3)
        event = await anext(aiter(events))

    assert (event.name, event.fields) == ("committed", {"run_id": RUN, "shard": 3})


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[1]", b"null", b"3"])
async def test_what_is_no_announcement_is_passed_over_and_the_next_one_is_heard(
    bus: Bus, nats_server: NatsServer, body: bytes
) -> None:
    stranger = await nats.connect(nats_server.url)
    async with bus.listen() as events:
        await stranger.publish("suti.v1.events.committed", body)
        await stranger.flush()
        await bus.announce("committed", shard=4)
        event = await anext(aiter(events))
    await stranger.close()

    assert event.fields == {"shard": 4}


def test_a_ticket_survives_its_encoding_and_names_its_subject() -> None:
    assert ShardTicket.decode(ticket(7).encode()) == ticket(7)
    assert ticket(7).subject == f"suti.v1.filtering.shard.{RUN}.7"


@pytest.mark.parametrize("body", [b"", b"\xff\xff\xff", b"not a ticket"])
def test_a_body_that_is_no_ticket_is_told(body: bytes) -> None:
    with pytest.raises(TicketUnreadable):
        ShardTicket.decode(body)


@pytest.mark.parametrize(("run_id", "stage", "shard"), [("a.b", "s", 0), ("r", "*", 0), ("r", "s", -1), ("", "s", 0)])
def test_a_name_that_would_be_another_subject_is_refused(run_id: str, stage: str, shard: int) -> None:
    with pytest.raises(TicketUnreadable):
        ShardTicket(run_id=run_id, stage=stage, shard=shard)


async def test_a_server_that_is_not_there_is_told_in_time() -> None:
    with pytest.raises(BusUnavailable):
        await Bus.connect(f"nats://127.0.0.1:{free_port()}", name="test", timeout_s=0.5)


async def test_a_wrong_password_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = NatsServer(tmp_path_factory.mktemp("nats"), arguments=("--user", "suti", "--pass", "right"))
    server.start()
    try:
        with pytest.raises(BusRefused):
            await Bus.connect(server.url, name="test", user="suti", password="wrong", timeout_s=2)
        async with await Bus.connect(server.url, name="test", user="suti", password="right") as bus:
            await bus.ensure_streams()
    finally:
        server.stop()
