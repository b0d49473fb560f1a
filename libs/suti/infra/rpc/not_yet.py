"""What a service's health says before there is a server: that nothing is served yet."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from suti.infra.rpc.server import MODEL, PROCESS, bind


@asynccontextmanager
async def not_serving_yet(address: str | None) -> AsyncGenerator[None]:
    """Who asks `address` (host:port, plaintext) for health is told NOT_SERVING; None: nobody can ask.

    On leaving, the port is free again. Raises CannotListen.
    """
    if address is None:
        yield
        return
    health = HealthServicer()
    for name in (PROCESS, MODEL):
        await health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    bind(server, address, None)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)
