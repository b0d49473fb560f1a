import asyncio
import time

from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from tests.contract.bus.conftest import RUN, ticket, working
from tests.waiting import becomes


class StoreAway(RetryableError):
    reason = "STORE_AWAY"


class Broken(PermanentError):
    reason = "BROKEN"


class NoModels(BadConfiguration):
    reason = "NO_MODELS"


class Preempted(RetryableError):
    reason = "PREEMPTED"
    exit_code = ExitCode.TERMINATED


async def test_work_longer_than_the_ack_wait_is_not_given_to_another(bus: Bus, dead_letters: DeadLetters) -> None:
    handled: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        handled.append(lease.delivery)
        await lease.keep_alive(time.sleep, 2.2)

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, ack_wait_s=1.0, concurrency=2):

        async def done() -> bool:
            return bool(handled) and await bus.queue_depth("filtering") == 0

        await becomes(done)

    assert handled == [1]


async def test_keep_alive_gives_back_what_the_function_returns_or_raises(bus: Bus, dead_letters: DeadLetters) -> None:
    got: list[object] = []

    def broken() -> None:
        raise Broken("no")

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        got.append(await lease.keep_alive(divmod, 7, 2))
        try:
            await lease.keep_alive(broken)
        except Broken as error:
            got.append(error.reason)

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters):
        await becomes(lambda: len(got) == 2)

    assert got == [(3, 1), "BROKEN"]


async def test_a_retryable_error_is_tried_again_after_the_delay_with_another_fence(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    seen: list[tuple[int, str, float]] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        seen.append((lease.delivery, lease.fence, time.monotonic()))
        if lease.delivery == 1:
            raise StoreAway("try again")

    async with bus.listen("waiting") as events:
        await bus.issue(ticket())
        async with working(bus, handle, dead_letters, patience=Patience(backoff_s=(0.4,))):
            await becomes(lambda: len(seen) == 2)
        told = (await anext(events)).fields

    assert told["why"] == "try 1 failed and is repeated (STORE_AWAY: try again)"
    assert (told["run_id"], told["stage"], told["shards"]) == (RUN, "filtering", "0")
    assert [delivery for delivery, _, _ in seen] == [1, 2]
    assert seen[0][1] != seen[1][1]
    assert 0.3 < seen[1][2] - seen[0][2] < 2
    assert dead_letters.list() == []


async def test_a_permanent_error_is_a_dead_letter_at_once_and_can_be_replayed(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    healed = False
    deliveries: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        deliveries.append(lease.delivery)
        if not healed:
            raise Broken("row 3 is no picture: drop it")

    await bus.issue(ticket(5))
    async with working(bus, handle, dead_letters):
        await becomes(lambda: bool(dead_letters.list()))
        (letter,) = dead_letters.list(run_id=RUN, stage="filtering")
        healed = True
        await dead_letters.replay(bus, letter.letter_id)
        await becomes(lambda: len(deliveries) == 2)

    assert (letter.reason, letter.message) == ("BROKEN", "row 3 is no picture: drop it")
    assert (letter.run_id, letter.stage, letter.shard, letter.deliveries) == (RUN, "filtering", 5, 1)
    assert ShardTicket.decode(letter.body) == ticket(5)
    assert deliveries == [1, 1]
    assert dead_letters.list() == []


async def test_an_error_nobody_foresaw_is_retried_and_then_a_dead_letter(bus: Bus, dead_letters: DeadLetters) -> None:
    deliveries: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        deliveries.append(lease.delivery)
        raise KeyError("surprise")

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters):
        await becomes(lambda: bool(dead_letters.list()))

        async def empty() -> bool:
            return await bus.queue_depth("filtering") == 0

        await becomes(empty)

    (letter,) = dead_letters.list()
    assert deliveries == [1, 2, 3]
    assert (letter.reason, letter.message, letter.deliveries) == ("UNEXPECTED", "KeyError: 'surprise'", 3)


async def test_being_asked_to_stop_costs_no_attempt(bus: Bus, dead_letters: DeadLetters) -> None:
    deliveries: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        deliveries.append(lease.delivery)
        if len(deliveries) < 4:
            raise Preempted("goes on later")

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, patience=Patience(crashes=2)):
        await becomes(lambda: len(deliveries) == 4)

    assert deliveries == [1, 1, 1, 1]
    assert dead_letters.list() == []


async def test_a_message_that_is_no_ticket_is_a_dead_letter_with_its_body(bus: Bus, dead_letters: DeadLetters) -> None:
    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        raise AssertionError("not called")

    await bus.publish("suti.v1.filtering.shard.x.y", b"\xff\x00junk", headers={})
    async with working(bus, handle, dead_letters):
        await becomes(lambda: bool(dead_letters.list()))

    (letter,) = dead_letters.list()
    assert (letter.reason, letter.body, letter.subject) == (
        "TICKET_UNREADABLE",
        b"\xff\x00junk",
        "suti.v1.filtering.shard.x.y",
    )


async def test_a_drain_lets_work_in_hand_finish_and_takes_no_more(bus: Bus, dead_letters: DeadLetters) -> None:
    done: list[int] = []
    begun = asyncio.Event()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        begun.set()
        await lease.keep_alive(time.sleep, 0.4)
        done.append(ticket.shard)

    await bus.issue(ticket(0))
    await bus.issue(ticket(1))
    async with working(bus, handle, dead_letters) as stop:
        await begun.wait()
        stop.set()

    assert done == [0]
    assert await bus.queue_depth("filtering") == 1


async def test_work_that_outlasts_half_the_drain_is_asked_to_stop_and_its_ticket_put_back(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    begun = asyncio.Event()

    def work(lease: Lease) -> None:
        while not lease.stopping():
            time.sleep(0.01)
        raise Preempted("asked to stop")

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        begun.set()
        await lease.keep_alive(work, lease)

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, drain_s=1.0) as stop:  # the work would never end by itself
        await begun.wait()
        stop.set()

    assert (await bus.queue_state("filtering")).waiting == 1


async def test_work_that_does_not_listen_is_left_at_the_end_of_the_drain_and_its_ticket_put_back(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    begun = asyncio.Event()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        begun.set()
        await lease.keep_alive(time.sleep, 60)

    await bus.issue(ticket())
    began = time.monotonic()
    async with working(bus, handle, dead_letters, drain_s=0.4) as stop:
        await begun.wait()
        stop.set()

    assert time.monotonic() - began < 30
    assert (await bus.queue_state("filtering")).waiting == 1


async def test_what_is_in_work_can_be_asked_to_stop_from_outside(bus: Bus, dead_letters: DeadLetters) -> None:
    stopped: list[int] = []

    def work(lease: Lease) -> None:
        while not lease.stopping():
            time.sleep(0.01)
        stopped.append(lease.delivery)

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        await lease.keep_alive(work, lease)

    worker = Worker(bus, stage="filtering", handle=handle, dead_letters=dead_letters)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await bus.issue(ticket(2))
    await becomes(lambda: ticket(2) in worker.in_work())
    worker.in_work()[ticket(2)].ask_to_stop()
    await becomes(lambda: bool(stopped))
    stop.set()
    await running

    assert stopped == [1]
    assert worker.in_work() == {}


async def test_a_failure_that_passes_by_itself_is_tried_more_often_than_crashes_may_be(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    deliveries: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        deliveries.append(lease.delivery)
        if len(deliveries) < 5:
            raise StoreAway("an outage")

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, patience=Patience(crashes=2, backoff_s=(0.05,))):
        await becomes(lambda: len(deliveries) == 5)

    assert deliveries == [1, 2, 3, 4, 5]
    assert dead_letters.list() == []


async def test_a_failure_that_does_not_pass_is_a_dead_letter_in_the_end_and_the_handler_may_know(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    given_up: list[bool] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        given_up.append(lease.gives_up(StoreAway("away")))
        raise StoreAway("away")

    await bus.issue(ticket())
    async with working(bus, handle, dead_letters, patience=Patience(retry_for_s=0.5, backoff_s=(0.2,))):
        await becomes(lambda: bool(dead_letters.list()))

    (letter,) = dead_letters.list()
    assert (letter.reason, letter.bad_data, letter.deliveries) == ("STORE_AWAY", False, len(given_up))
    assert given_up == [*[False] * (len(given_up) - 1), True]
    assert len(given_up) >= 2


async def test_a_host_that_is_set_up_wrongly_buries_nothing_and_another_does_the_tickets(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    refused: list[int] = []
    done: set[int] = set()

    async def refuse(ticket: ShardTicket, lease: Lease) -> None:
        refused.append(ticket.shard)
        raise NoModels("no models folder")

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        done.add(ticket.shard)

    for shard in range(4):
        await bus.issue(ticket(shard))
    async with working(bus, refuse, dead_letters, name="broken"):
        await becomes(lambda: bool(refused))
        async with working(bus, handle, dead_letters, name="sound"):
            await becomes(lambda: done == {0, 1, 2, 3})

    assert dead_letters.list() == []


async def test_what_several_hosts_refuse_is_a_dead_letter_that_holds_its_run_up(
    bus: Bus, dead_letters: DeadLetters
) -> None:
    async def refuse(ticket: ShardTicket, lease: Lease) -> None:
        raise NoModels("no models folder")

    patience = Patience(refusals=2, backoff_s=(0.05,))
    await bus.issue(ticket())
    async with (
        working(bus, refuse, dead_letters, name="a", patience=patience),
        working(bus, refuse, dead_letters, name="b", patience=patience),
    ):
        await becomes(lambda: bool(dead_letters.list()))

    (letter,) = dead_letters.list()
    assert (letter.reason, letter.bad_data) == ("NO_MODELS", False)


async def test_deaths_of_who_only_watches_the_work_are_not_counted(bus: Bus, dead_letters: DeadLetters) -> None:
    deliveries: list[int] = []

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        deliveries.append(lease.delivery)

    await bus.issue(ticket())
    place = await bus.pull("filtering", ack_wait_s=0.2)
    for _ in range(4):  # four launchers that take the ticket and die
        await place.fetch(1, timeout=30)
    async with working(bus, handle, dead_letters, ack_wait_s=0.2, outlives_worker=True):
        await becomes(lambda: bool(deliveries))

    assert deliveries == [5]
    assert dead_letters.list() == []
