import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.rpc.security import ServerSecurity
from suti.infra.rpc.server import MODEL, RpcServer
from tests.servers.certificates import make_certificate
from tests.unit.infra.rpc.answering import Answering
from tests.unit.infra.rpc.test_tls import echo


async def test_probes_hear_of_health_without_a_certificate_and_of_nothing_else(tmp_path: Path) -> None:
    path = make_certificate(tmp_path, "server")
    certificate, key = path.read_bytes(), path.with_suffix(".key").read_bytes()
    security = ServerSecurity(certificate=certificate, key=key, client_ca=certificate, tokens=frozenset({"secret"}))
    server = RpcServer("127.0.0.1:0", security=security, health_address="127.0.0.1:0")
    answering = Answering(echo)  # pyright: ignore[reportAbstractUsage] - grpc answers UNIMPLEMENTED for the rest
    server.add(pipeline_pb2_grpc.add_PipelineServiceServicer_to_server, answering, "suti.Test")
    await server.start()
    states = health_pb2.HealthCheckResponse

    async with grpc.aio.insecure_channel(str(server.health_address)) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs have no types

        async def state(name: str) -> int:
            return (await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)).status

        assert await state("") == states.SERVING
        await server.set_serving(MODEL, serving=False)
        assert await state(MODEL) == states.NOT_SERVING
        stub = pipeline_pb2_grpc.PipelineServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        await server.drain()
        assert await state("") == states.NOT_SERVING
    await asyncio.wait_for(server.stop(0), 10)


async def test_without_the_setting_there_is_no_second_port() -> None:
    server = RpcServer("127.0.0.1:0")
    await server.start()

    assert server.health_address is None
    await server.stop(0)
