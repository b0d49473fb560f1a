"""Streams and operations: they go on where a connection broke, and stop when the reader leaves."""

import grpc
import pytest

from suti.api.generation.v1 import generation_pb2 as generation
from suti.client import AsyncSuti, Suti
from suti.client.endpoints import Service
from suti.client.errors import RemoteError, RemoteTrouble
from suti.client.operations import OperationUnfinished
from suti.client.requests.generation import generate_request
from tests.unit.client.conftest import QUICK, RUN, Ask, Backstage, details_of, start_server

GONE = details_of(grpc.StatusCode.UNAVAILABLE, "shutting down; call again", reason="SHUTTING_DOWN", retry=True)


def test_a_watch_goes_on_where_the_connection_broke_and_ends_with_the_outcome(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["WatchRun, later"] = [GONE]

    seen = ask("watch_run", RUN, interval_s=0.1)

    assert [message.run.HasField("outcome") for message in seen] == [False, False, True]
    assert backstage.calls["WatchRun"] == 2
    assert backstage.hung_up.wait(5.0)


def test_a_watch_that_never_gets_through_ends_with_the_trouble(ask: Ask, backstage: Backstage) -> None:
    backstage.trouble["WatchRun"] = [GONE] * 99

    with pytest.raises(RemoteTrouble, match="shutting down"):
        ask("watch_run", RUN)

    assert backstage.calls["WatchRun"] == QUICK.attempts


def test_a_stream_that_ends_without_its_result_is_asked_again_with_the_same_request_id(
    ask: Ask, backstage: Backstage
) -> None:
    request = generate_request("a cat on the moon", seed=7)

    events = ask("generate_stream", request)

    assert [event.WhichOneof("event") for event in events] == ["step", "step", "result"]
    assert events[-1].result.provenance_id == request.request_id
    assert backstage.seen == [request, request]


def test_a_reader_who_leaves_early_hangs_up(backstage: Backstage) -> None:
    with Suti(backstage.address, options=QUICK) as suti:
        watch = iter(suti.watch_run(RUN))
        next(watch)
        next(watch)
        del watch

        assert backstage.hung_up.wait(5.0)


async def test_the_client_finds_a_server_that_came_back_on_its_address() -> None:
    backstage = Backstage()
    server = start_server(backstage)
    async with AsyncSuti(backstage.address, options=QUICK) as suti:
        await suti.get_run(RUN)
        server.stop(None).wait(5.0)
        with pytest.raises(RemoteTrouble, match="check that the service runs") as caught:
            await suti.get_run(RUN)
        assert caught.value.reason == "SERVICE_UNREACHABLE"

        server = start_server(backstage, address=backstage.address)

        assert (await suti.get_run(RUN)).run_id == RUN
        server.stop(None).wait(5.0)


def test_an_operation_is_asked_after_until_it_has_a_result(ask: Ask, backstage: Backstage) -> None:
    result = ask("generate_batch", [generate_request("a cat")])

    assert isinstance(result, generation.GenerateBatchResult)
    assert [item.request_id for item in result.items] == ["first"]
    assert backstage.calls["GetOperation"] == 2


def test_progress_is_told_while_one_waits(backstage: Backstage) -> None:
    told: list[tuple[int, int]] = []
    with Suti(backstage.address, options=QUICK) as suti:
        pending = suti.generate_batch([generate_request("a cat")])
        pending.wait(timeout_s=5.0, on_progress=lambda progress: told.append((progress.done, progress.total)))

    assert told == [(0, 2), (1, 2)]


def test_a_cancelled_operation_ends_with_its_reason(backstage: Backstage) -> None:
    with Suti(backstage.address, options=QUICK) as suti:
        pending = suti.generate_batch([generate_request("a cat")])
        pending.cancel()
        with pytest.raises(RemoteError, match="cancelled by its owner") as caught:
            pending.wait(timeout_s=5.0)

    assert caught.value.reason == "CANCELLED"


def test_who_waits_too_short_is_told_and_may_ask_again(backstage: Backstage) -> None:
    with Suti(backstage.address, options=QUICK) as suti:
        pending = suti.generate_batch([generate_request("a cat")])
        with pytest.raises(OperationUnfinished, match="wait longer"):
            pending.wait(timeout_s=0.0)
        again = suti.pending(Service.GENERATION, pending.name, generation.GenerateBatchResult)

        assert again.wait(timeout_s=5.0).items[0].request_id == "first"
