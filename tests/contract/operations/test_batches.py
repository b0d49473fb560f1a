"""Batches against a real queue and a store, without anything that draws."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from google.longrunning.operations_pb2 import Operation
from google.rpc.error_details_pb2 import ErrorInfo

from suti.api.generation.v1 import generation_pb2 as pb
from suti.core import keys
from suti.core.errors import InvalidArgument
from suti.core.ids import new_request_id
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.store import Store
from suti_generation.batches import STAGE, Batches
from tests.waiting import becomes


def batch(count: int) -> pb.GenerateBatchRequest:
    requests = [pb.GenerateRequest(request_id=new_request_id(), prompt=f"a mug, {n}") for n in range(count)]
    return pb.GenerateBatchRequest(request_id=new_request_id(), requests=requests)


async def draw(request: pb.GenerateRequest) -> pb.GenerateResponse:
    return pb.GenerateResponse(provenance_id=request.request_id)


def result_of(operation: Operation) -> pb.GenerateBatchResult:
    result = pb.GenerateBatchResult()
    assert operation.response.Unpack(result)
    return result


@asynccontextmanager
async def looked_after(batches: Batches) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    looking = asyncio.create_task(batches.keep_going(stop, every_s=0.05))
    try:
        yield
    finally:
        stop.set()
        await looking


async def test_a_request_that_crashes_whoever_draws_it_ends_as_an_error_and_is_not_tried_for_ever(
    bus: Bus, store: Store
) -> None:
    batches, request, tries = Batches(store, bus), batch(2), list[int]()

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        tries.append(ticket.shard)
        if ticket.shard == 1:
            raise ZeroDivisionError("a bug, with a secret")
        await batches.work(ticket.run_id, ticket.shard, draw, gives_up=lease.gives_up)

    worker = Worker(
        bus,
        stage=STAGE,
        handle=handle,
        dead_letters=DeadLetters(store),
        patience=Patience(crashes=2, backoff_s=(0.01,)),
    )
    name = (await batches.start(request)).name
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))

    async def is_done() -> bool:
        return (await batches.get(name)).done

    await becomes(lambda: bool(DeadLetters(store).list()), limit_s=20)
    async with looked_after(batches):
        await becomes(is_done, limit_s=20)
        await asyncio.sleep(0.3)  # some more looks
    stop.set()
    await working

    items = result_of(await batches.get(name)).items
    assert [item.WhichOneof("outcome") for item in items] == ["response", "error"]
    assert items[1].request_id == request.requests[1].request_id
    info = ErrorInfo()
    assert items[1].error.details[0].Unpack(info)
    assert info.reason == "REQUEST_GIVEN_UP"
    assert "secret" not in items[1].error.message
    assert sorted(tries) == [0, 1, 1]


async def test_another_services_operation_is_neither_shown_nor_harmful(bus: Bus, store: Store) -> None:
    store.put(keys.operation("A1"), b'{"service": "experts"}')
    store.put(keys.operation_part("A1", "request.bin"), b"")
    store.put(keys.operation("A2"), b"{damaged")
    store.put(keys.operation_part("A2", "request.bin"), b"")
    batches, request = Batches(store, bus), batch(1)
    name = (await batches.start(request)).name
    await bus.withdraw(name.removeprefix("operations/"))  # the ticket is lost

    async def is_issued_again() -> bool:
        return (await bus.queue_state(STAGE)).waiting == 1

    async with looked_after(batches):
        await becomes(is_issued_again, limit_s=10)


async def test_a_batch_with_a_request_id_that_is_none_leaves_nothing_behind(bus: Bus, store: Store) -> None:
    request = batch(1)
    request.request_id = "mine"

    with pytest.raises(InvalidArgument, match="UUID"):
        await Batches(store, bus).start(request)

    assert list(store.list("")) == []


async def test_a_batch_whose_acceptance_was_cut_short_is_accepted_by_the_next_call(bus: Bus, store: Store) -> None:
    request = batch(1)
    RequestLedger(store, "batches").record(request.request_id, body_sha256(request), b"01ARZ3NDEKTSV4RRFFQ69G5FAV")

    operation = await Batches(store, bus).start(request)

    assert operation.name == "operations/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    assert (await bus.queue_state(STAGE)).waiting == 1


async def test_a_batchs_result_is_put_together_once(bus: Bus, store: Store) -> None:
    batches = Batches(store, bus)
    name = (await batches.start(batch(2))).name
    operation_id = name.removeprefix("operations/")
    for index in range(2):
        await batches.work(operation_id, index, draw, gives_up=lambda error: True)
    first = await batches.get(name)
    for info in list(store.list(keys.operation_part(operation_id, "items/"))):
        store.delete(info.key)  # nobody reads them any more

    assert first.done
    assert await batches.get(name) == first
