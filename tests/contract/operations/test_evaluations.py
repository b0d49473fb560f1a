"""Evaluations against a real queue and a store, without anything that draws."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.core import keys
from suti.core.errors import InvalidArgument
from suti.core.ids import new_request_id
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.rpc.operations import OperationMissing
from suti.infra.store import Store
from suti.stages.evaluation import orders
from suti_pipeline.evaluations import STAGE, Evaluations
from tests.waiting import becomes


def wish() -> pb.EvaluateModelRequest:
    """Two subjects by two prompts: six shards, their real pictures among them."""
    request = pb.EvaluateModelRequest(request_id=new_request_id(), model="warmstart", prompt_numbers=[0, 20], samples=2)
    for name in ("A", "B"):
        request.subjects.add(subject_id=name, class_word="mug")
    return request


@asynccontextmanager
async def looked_after(evaluations: Evaluations) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    looking = asyncio.create_task(evaluations.keep_going(stop, every_s=0.05))
    try:
        yield
    finally:
        stop.set()
        await looking


async def test_every_shard_has_a_ticket_then_one_more_sums_up(bus: Bus, store: Store) -> None:
    evaluations, tickets = Evaluations(store, bus), list[int]()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        tickets.append(ticket.shard)
        name = orders.RESULT if ticket.shard == 6 else f"{orders.ITEMS}{ticket.shard:06d}"
        answer = pb.EvaluateModelResult(protocol_id="p").SerializeToString()
        await asyncio.to_thread(store.create, keys.operation_part(ticket.run_id, name), answer)

    worker = Worker(bus, stage=STAGE, handle=handle, dead_letters=DeadLetters(store), patience=Patience())
    request = wish()
    name = (await evaluations.start(request)).name
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))

    async def is_done() -> bool:
        return (await evaluations.get(name)).done

    async with looked_after(evaluations):
        await becomes(is_done, limit_s=20)
    stop.set()
    await working

    result = pb.EvaluateModelResult()
    assert (await evaluations.get(name)).response.Unpack(result)
    assert result.protocol_id == "p"
    assert sorted(set(tickets)) == [0, 1, 2, 3, 4, 5, 6]
    assert tickets[-1] == 6
    assert (await evaluations.start(request)).name == name
    order = json.loads(store.get(keys.operation_part(name.removeprefix("operations/"), orders.ORDER)))
    assert (order["prompts"], order["protocol"], order["dino"], order["clip"]) == ("dreambench",) * 2 + ("dino", "clip")


async def test_tickets_that_a_wiped_broker_lost_are_issued_again(bus: Bus, store: Store) -> None:
    evaluations = Evaluations(store, bus)
    name = (await evaluations.start(wish())).name
    store.create(keys.operation_part(name.removeprefix("operations/"), f"{orders.ITEMS}000002"), b"")
    await bus.withdraw(name.removeprefix("operations/"))

    async def are_issued() -> bool:
        return (await bus.queue_state(STAGE)).waiting == 5

    async with looked_after(evaluations):
        await becomes(are_issued, limit_s=10)
    assert not (await evaluations.get(name)).done


async def test_a_shard_that_was_given_up_ends_its_evaluation_with_the_reason(bus: Bus, store: Store) -> None:
    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        raise ZeroDivisionError("a bug")

    evaluations, letters = Evaluations(store, bus), DeadLetters(store)
    patience = Patience(crashes=1, backoff_s=(0.01,))
    worker = Worker(bus, stage=STAGE, handle=handle, dead_letters=letters, patience=patience)
    name = (await evaluations.start(wish())).name
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))

    async def is_done() -> bool:
        return (await evaluations.get(name)).done

    await becomes(lambda: bool(letters.list()), limit_s=20)
    async with looked_after(evaluations):
        await becomes(is_done, limit_s=20)
    stop.set()
    await working

    assert letters.list()[0].reason in (await evaluations.get(name)).error.message


async def test_a_cancelled_evaluation_leaves_no_ticket_and_says_so(bus: Bus, store: Store) -> None:
    evaluations = Evaluations(store, bus)
    name = (await evaluations.start(wish())).name

    await evaluations.cancel(name)
    async with looked_after(evaluations):
        await asyncio.sleep(0.3)  # some looks

    operation = await evaluations.get(name)
    assert operation.done
    assert "cancelled" in operation.error.message
    assert (await bus.queue_state(STAGE)).waiting == 0


async def test_a_batch_of_the_generation_service_is_no_evaluation(bus: Bus, store: Store) -> None:
    store.put(keys.operation("A1"), b'{"service": "generation", "count": 1}')

    with pytest.raises(OperationMissing):
        await Evaluations(store, bus).get("operations/A1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompts": "mine.json"}, "prompts"),
        ({"samples": 17}, "samples"),
        ({"steps": 1001}, "steps"),
        ({"guidance": 101.0}, "guidance"),
        ({"seed": 2**63}, "seed"),
        ({"created_by": "x" * 201}, "created_by"),
        ({"prompt_numbers": [25]}, "prompt_numbers"),
        ({"model": ""}, "model"),
    ],
)
async def test_a_field_out_of_its_range_is_named_and_nothing_is_left(
    bus: Bus, store: Store, changes: dict[str, object], field: str
) -> None:
    request = wish()
    for name, value in changes.items():
        if name == "prompt_numbers":
            request.prompt_numbers[:] = [25]
        else:
            setattr(request, name, value)

    with pytest.raises(InvalidArgument) as refused:
        await Evaluations(store, bus).start(request)

    assert refused.value.field == field
    assert list(store.list("")) == []
