import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.core.errors import InvalidArgument, NotFound, PermanentError, RetryableError
from suti.infra.rpc.channel import open_sync_channel
from suti.infra.rpc.errors import error_from_rpc
from suti.infra.rpc.security import ChannelSecurity, PlaintextRefused, ServerSecurity
from suti.infra.rpc.server import MODEL, PROCESS, CannotListen, RpcServer
from tests.unit.infra.rpc.answering import calling, serving


async def echo(run_id: str) -> str:
    return run_id


async def not_found(run_id: str) -> str:
    raise NotFound("run", run_id, remedy="see `suti run list`")


async def test_a_call_is_answered_and_a_stream_flows() -> None:
    async with serving(echo) as server, calling(server.address) as (stub, _):
        assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
        seen = [m.run.run_id async for m in stub.WatchRun(pipeline_pb2.WatchRunRequest(run_id="S"))]
    assert seen == ["S", "S"]


async def test_a_permanent_error_arrives_with_its_reason_code_and_message() -> None:
    async with serving(not_found) as server, calling(server.address) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))
    error = error_from_rpc(caught.value)
    assert isinstance(error, PermanentError)
    assert (error.reason, error.grpc_code) == ("NOT_FOUND", "NOT_FOUND")
    assert str(error) == "no run 'R': see `suti run list`"


async def test_a_retryable_error_arrives_as_one() -> None:
    class Busy(RetryableError):
        reason = "BUSY"

    async def busy(run_id: str) -> str:
        raise Busy("the queue is full: try again")

    # One attempt: the channel's own retries of UNAVAILABLE would only make the test slow.
    async with serving(busy) as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await pipeline_pb2_grpc.PipelineServiceStub(channel).GetRun(pipeline_pb2.GetRunRequest(run_id="R"))
    error = error_from_rpc(caught.value)
    assert isinstance(error, RetryableError)
    assert error.reason == "BUSY"


async def test_an_error_in_the_middle_of_a_stream_arrives_with_its_reason() -> None:
    async with serving(not_found) as server, calling(server.address) as (stub, _):
        stream = stub.WatchRun(pipeline_pb2.WatchRunRequest(run_id="R"))
        seen = [(await stream.read()).run.run_id for _ in range(2)]
        with pytest.raises(grpc.RpcError) as caught:
            await stream.read()
    assert seen == ["R", "R"]
    assert error_from_rpc(caught.value).reason == "NOT_FOUND"


async def test_a_bad_field_is_named_in_the_details() -> None:
    async def bad(run_id: str) -> str:
        raise InvalidArgument("run_id", "is empty: give one")

    async with serving(bad) as server:
        with open_sync_channel(server.address) as channel:
            stub = pipeline_pb2_grpc.PipelineServiceStub(channel)
            call = asyncio.to_thread(stub.GetRun, pipeline_pb2.GetRunRequest())
            with pytest.raises(grpc.RpcError) as caught:
                await call
    status = rpc_status.from_call(caught.value)  # pyright: ignore[reportArgumentType] - what is raised is a Call
    assert status is not None
    found = BadRequest()
    assert any(detail.Unpack(found) for detail in status.details)
    assert found.field_violations[0].field == "run_id"


async def test_an_unforeseen_error_tells_the_caller_nothing_of_itself() -> None:
    async def broken(run_id: str) -> str:
        raise RuntimeError("password=hunter2")

    async with serving(broken) as server, calling(server.address) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest())
    error = error_from_rpc(caught.value)
    assert (error.reason, error.grpc_code) == ("INTERNAL", "INTERNAL")
    assert "hunter2" not in str(caught.value)


async def test_a_call_without_a_deadline_gets_the_servers() -> None:
    async def slow(run_id: str) -> str:
        await asyncio.sleep(30)
        return run_id

    async with (
        serving(slow, default_deadline_s=0.1) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            await pipeline_pb2_grpc.PipelineServiceStub(channel).GetRun(pipeline_pb2.GetRunRequest())
    assert error_from_rpc(caught.value).reason == "DEADLINE_EXCEEDED"


async def test_a_callers_own_deadline_counts_and_its_handler_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def slow(run_id: str) -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return run_id

    async with serving(slow) as server, calling(server.address, default_deadline_s=0.2) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest())
        async with asyncio.timeout(5):
            await cancelled.wait()
    assert error_from_rpc(caught.value).grpc_code == "DEADLINE_EXCEEDED"


async def test_a_message_over_the_limit_is_refused_and_the_server_lives() -> None:
    async with serving(echo, max_message_bytes=10_000) as server, calling(server.address) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="x" * 20_000))
        assert error_from_rpc(caught.value).grpc_code == "RESOURCE_EXHAUSTED"
        assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"


async def test_health_tells_process_and_model_apart_and_draining_from_both() -> None:
    states = health_pb2.HealthCheckResponse
    async with serving(echo) as server, grpc.aio.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs have no types

        async def state(name: str) -> int:
            return (await health.Check(health_pb2.HealthCheckRequest(service=name))).status

        await server.set_serving(MODEL, serving=False)
        before = (await state(PROCESS), await state(MODEL))
        await server.set_serving(MODEL, serving=True)
        loaded = (await state(PROCESS), await state(MODEL))
        await server.drain()
        await server.set_serving(MODEL, serving=True)
        draining = (await state(PROCESS), await state(MODEL))
    assert before == (states.SERVING, states.NOT_SERVING)
    assert loaded == (states.SERVING, states.SERVING)
    assert draining == (states.NOT_SERVING, states.NOT_SERVING)


@pytest.mark.parametrize("reflection", [True, False])
async def test_the_api_describes_itself_only_where_switched_on(reflection: bool) -> None:
    def services(address: str) -> list[str]:
        with grpc.insecure_channel(address) as channel:
            return sorted(ProtoReflectionDescriptorDatabase(channel).get_services())

    async with serving(echo, reflection=reflection) as server:
        if reflection:
            assert "suti.api.pipeline.v1.PipelineService" in await asyncio.to_thread(services, server.address)
        else:
            with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
                await asyncio.to_thread(services, server.address)


@pytest.mark.parametrize(("token", "accepted"), [("open-sesame", True), ("wrong", False), (None, False)])
async def test_only_a_known_token_may_call_but_health_needs_none(token: str | None, accepted: bool) -> None:
    security = ServerSecurity(tokens=frozenset({"another", "open-sesame"}))
    async with (
        serving(echo, security=security) as server,
        calling(server.address, security=ChannelSecurity(token=token)) as (stub, channel),
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs have no types
        await health.Check(health_pb2.HealthCheckRequest())
        if accepted:
            assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
            return
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))
        assert error_from_rpc(caught.value).reason == "TOKEN_REFUSED"


async def test_plaintext_to_other_machines_must_be_allowed() -> None:
    with pytest.raises(PlaintextRefused):
        await RpcServer("0.0.0.0:0").start()
    with pytest.raises(PlaintextRefused):
        open_sync_channel("example.org:443")
    server = RpcServer("0.0.0.0:0", security=ServerSecurity(allow_plaintext=True))
    await server.start()
    await server.stop(0)


async def test_a_taken_port_is_told() -> None:
    async with serving(echo) as server:
        with pytest.raises(CannotListen):
            await RpcServer(server.address).start()


async def test_a_dead_server_is_a_retryable_error() -> None:
    async with serving(echo) as server:
        gone = server.address
    async with calling(gone, default_deadline_s=2) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest())
    assert isinstance(error_from_rpc(caught.value), RetryableError)


async def test_a_handler_that_aborts_by_itself_keeps_its_code() -> None:
    class Aborting(pipeline_pb2_grpc.PipelineServiceServicer):
        async def GetRun(self, request: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "too far")

    server = RpcServer("127.0.0.1:0")
    server.add(
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server,
        Aborting(),  # pyright: ignore[reportAbstractUsage] - what a test does not call stays unimplemented
    )
    await server.start()
    async with calling(server.address) as (stub, _):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest())
    await server.stop(0)
    assert error_from_rpc(caught.value).grpc_code == "OUT_OF_RANGE"


async def test_more_calls_at_once_than_allowed_are_refused_and_later_ones_answered() -> None:
    go_on = asyncio.Event()

    async def wait(run_id: str) -> str:
        await go_on.wait()
        return run_id

    async with serving(wait, max_calls=1) as server, calling(server.address) as (stub, _):
        first = asyncio.ensure_future(stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R")))
        await asyncio.sleep(0.2)
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="S"))
        go_on.set()
        assert (await first).run_id == "R"
        assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="T"))).run_id == "T"
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
