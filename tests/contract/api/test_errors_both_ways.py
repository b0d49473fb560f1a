"""An error that a service raises reaches the caller as the same error, over the servers and clients we ship."""

import grpc
import pytest

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.client import AsyncSuti, Options
from suti.client.errors import RemoteError, RemoteNotFound, RemoteRefusal, RemoteTrouble
from suti.core.errors import BadConfiguration, InvalidArgument, NotFound, RetryableError, SutiError
from suti.infra.rpc.security import ServerSecurity
from suti.infra.rpc.server import RpcServer

RUN = "01JD0000000000000000000000"


class Busy(RetryableError):
    """The queue is full."""

    reason = "OVERLOADED"


class Raising(pipeline_pb2_grpc.PipelineServiceServicer):
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def GetRun(
        self, request: pipeline_pb2.GetRunRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> pipeline_pb2.Run:
        if self.error is not None:
            raise self.error
        return pipeline_pb2.Run(run_id=request.run_id)


async def _get_run(error: Exception | None, *, options: Options, security: ServerSecurity | None = None) -> str:
    server = RpcServer("127.0.0.1:0", security=security)
    server.add(
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server,
        Raising(error),  # pyright: ignore[reportAbstractUsage] - the rest stays unimplemented
        "suti.api.pipeline.v1.PipelineService",
    )
    await server.start()
    try:
        async with AsyncSuti(server.address, options=options) as suti:
            return (await suti.get_run(RUN)).run_id
    finally:
        await server.stop(0.0)


@pytest.mark.parametrize(
    ("raised", "family"),
    [
        (NotFound("run", RUN, remedy="list them"), RemoteNotFound),
        (InvalidArgument("seed", "-1 is below 0"), RemoteRefusal),
        (BadConfiguration("no model; import one"), RemoteRefusal),
        (Busy("the queue is full; call again"), RemoteTrouble),
    ],
)
async def test_reason_message_and_family_survive_the_way(raised: SutiError, family: type[RemoteError]) -> None:
    with pytest.raises(family) as caught:
        await _get_run(raised, options=Options(attempts=1))

    assert caught.value.reason == raised.reason
    assert str(caught.value) == str(raised)
    assert isinstance(caught.value, RetryableError) == isinstance(raised, RetryableError)


async def test_a_wrong_field_is_named_to_the_caller() -> None:
    with pytest.raises(RemoteRefusal) as caught:
        await _get_run(InvalidArgument("seed", "-1 is below 0"), options=Options(attempts=1))

    assert list(caught.value.fields) == ["seed"]


async def test_what_a_service_did_not_foresee_tells_no_secrets() -> None:
    with pytest.raises(RemoteError) as caught:
        await _get_run(RuntimeError("password is hunter2"), options=Options(attempts=1))

    assert caught.value.reason == "INTERNAL"
    assert "hunter2" not in str(caught.value)


async def test_the_clients_token_opens_a_server_that_wants_one() -> None:
    security = ServerSecurity(tokens=frozenset({"right"}))

    assert await _get_run(None, options=Options(token="right"), security=security) == RUN
    with pytest.raises(RemoteRefusal) as caught:
        await _get_run(None, options=Options(token="wrong"), security=security)
    assert caught.value.reason == "TOKEN_REFUSED"
