"""A gRPC server as every service has it: health, reflection, limits, keep-alive, and the guard around each call."""

from collections.abc import Callable
from typing import Any, ClassVar

import grpc
import grpc.aio
from google.longrunning import operations_pb2, operations_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from suti.core.errors import BadConfiguration
from suti.core.limits import MESSAGE_BYTES
from suti.infra.rpc.guard import CallGuard
from suti.infra.rpc.operations import Operations, OperationsServicer
from suti.infra.rpc.security import ServerSecurity

PROCESS = ""  # health: the process is up and takes calls
MODEL = "model"  # health: the model is loaded, calls that need it are answered


class CannotListen(BadConfiguration):
    """The server's address is none, or somebody else listens there."""

    reason: ClassVar[str] = "CANNOT_LISTEN"


class RpcServer:
    """A grpc.aio server. Add services, `start`, and in the end `stop`."""

    def __init__(
        self,
        address: str,
        *,
        security: ServerSecurity | None = None,
        reflection: bool = True,
        max_message_bytes: int = MESSAGE_BYTES,
        max_calls: int = 256,
        default_deadline_s: float = 60.0,
        health_address: str | None = None,
    ) -> None:
        self.address = address  # host:port; after `start` with the real port
        self.port = 0
        self.health_address = health_address  # where health alone is answered, in plaintext; the same
        self._security = security or ServerSecurity()
        self._reflection = reflection
        self._names: list[str] = [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        self._health = HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[CallGuard(self._security, default_deadline_s=default_deadline_s)],
            maximum_concurrent_rpcs=max_calls,  # more get RESOURCE_EXHAUSTED; those that are watched count too
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.so_reuseport", 0),  # two servers never share a port unnoticed
            ],
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        # The kubelet's probes know neither TLS nor client certificates, and health is no secret.
        self._health_server = grpc.aio.server(options=[("grpc.so_reuseport", 0)]) if health_address else None
        if self._health_server is not None:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._health_server)

    def add[S](self, register: Callable[[S, grpc.aio.Server], Any], servicer: S, *names: str) -> None:
        """One service: the generated `add_...Servicer_to_server`, the servicer, its full name(s) for reflection."""
        register(servicer, self._server)
        self._names.extend(names)

    def add_operations(self, operations: Operations) -> None:
        """`google.longrunning.Operations` for the operations of this service."""
        self.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(operations),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"].full_name,
        )

    async def start(self) -> None:
        """Takes calls from now on, and says SERVING for the process. Raises CannotListen, PlaintextRefused."""
        self.port = bind(self._server, self.address, self._security.credentials(self.address))
        self.address = _with_port(self.address, self.port)
        if self._reflection:
            reflection.enable_server_reflection((*self._names, reflection.SERVICE_NAME), self._server)
        await self._server.start()
        if self._health_server is not None and self.health_address is not None:
            self.health_address = _with_port(self.health_address, bind(self._health_server, self.health_address, None))
            await self._health_server.start()
        await self.set_serving(PROCESS, serving=True)

    async def set_serving(self, name: str, *, serving: bool) -> None:
        """What health answers for `PROCESS` or `MODEL`; a name never set is unknown to it. Ignored once draining."""
        state = health_pb2.HealthCheckResponse
        await self._health.set(name, state.SERVING if serving else state.NOT_SERVING)

    async def drain(self) -> None:
        """Health says NOT_SERVING for every name from now on; calls are still answered."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """No new calls; those in hand may finish within `grace_s`, then they are cancelled."""
        await self.drain()
        await self._server.stop(grace_s)
        if self._health_server is not None:
            await self._health_server.stop(0)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()


def bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    """The server listens there once it starts; which port that is. Raises CannotListen."""
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except (RuntimeError, ValueError) as error:
        raise CannotListen(f"cannot listen on {address}: is the port taken? give another, or 0") from error
    if not port:
        raise CannotListen(f"cannot listen on {address}: is the port taken? give another, or 0")
    return port


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"
