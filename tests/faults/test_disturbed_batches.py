"""A batch that was accepted is drawn whole, whatever dies in the middle of it: the service, or NATS with its disk."""

from collections.abc import Generator
from pathlib import Path

import pytest

from suti.api.generation.v1 import generation_pb2 as pb
from suti.client.endpoints import Service
from suti.client.requests.generation import generate_request
from suti.core import keys
from suti.core.ids import new_request_id
from tests.servers.nats import NatsServer, nats_server
from tests.system.generation_stack import GenerationProcess, demonstrations, save_models
from tests.waiting import becomes

__all__ = ["nats_server"]

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]

REQUESTS = 8
STEPS = 30  # a request takes long enough to be met in the middle


@pytest.fixture
def generation(tmp_path: Path, nats_server: NatsServer) -> Generator[GenerationProcess]:
    save_models(tmp_path / "models")
    process = GenerationProcess(tmp_path, nats_server)
    try:
        process.start(ack_wait_s="3")
        yield process
    finally:
        process.kill()


def begin(generation: GenerationProcess) -> tuple[str, list[str]]:
    """A batch that was accepted: its operation, and its requests' ids."""
    requests = [
        generate_request(
            f"a mug, number {number}",
            demonstrations=demonstrations(),
            model="warmstart",
            seed=number,
            steps=STEPS,
            request_id=new_request_id(),
        )
        for number in range(REQUESTS)
    ]
    with generation.client() as suti:
        operation = suti.generate_batch(requests)
    return operation.name, [request.request_id for request in requests]


def drawn(generation: GenerationProcess, operation: str) -> int:
    """How many of its requests are done."""
    place = keys.operation_part(operation.removeprefix("operations/"), "items/")
    return len(list(generation.store.list(place)))


async def is_half_drawn(generation: GenerationProcess, operation: str) -> None:
    await becomes(lambda: drawn(generation, operation) >= 2, limit_s=300)
    assert drawn(generation, operation) < REQUESTS, "drawn before anything could be done to it: raise STEPS"


async def is_whole(generation: GenerationProcess, operation: str, request_ids: list[str]) -> None:
    """All requests have their one answer, none has an error."""
    await becomes(lambda: drawn(generation, operation) == REQUESTS, limit_s=300)
    with generation.client() as suti:
        result = suti.pending(Service.GENERATION, operation, pb.GenerateBatchResult).wait(timeout_s=60)
    assert [item.request_id for item in result.items] == request_ids
    assert [item.error.message for item in result.items if item.HasField("error")] == []
    assert [item.response.seed for item in result.items] == list(range(REQUESTS))


async def test_a_batch_outlives_the_service_killed_in_the_middle_of_it(generation: GenerationProcess) -> None:
    operation, request_ids = begin(generation)
    await is_half_drawn(generation, operation)

    generation.kill()
    generation.start(ack_wait_s="3")

    await is_whole(generation, operation, request_ids)


async def test_a_batch_outlives_nats_killed_and_its_disk_wiped_in_the_middle_of_it(
    generation: GenerationProcess,
) -> None:
    operation, request_ids = begin(generation)
    await is_half_drawn(generation, operation)

    generation.nats.kill()
    generation.nats.wipe()
    generation.nats.start()

    await is_whole(generation, operation, request_ids)


async def test_a_batch_outlives_both_at_once(generation: GenerationProcess) -> None:
    operation, request_ids = begin(generation)
    await is_half_drawn(generation, operation)

    generation.kill()
    generation.nats.kill()
    generation.nats.wipe()
    generation.nats.start()
    generation.start(ack_wait_s="3")

    await is_whole(generation, operation, request_ids)
