"""A service whose bus or store comes late waits, says so once, and tells whoever asks that it serves nothing yet."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from suti.infra.bus.connection import Bus
from suti.infra.rpc.server import MODEL, PROCESS
from tests.servers.minio import MinioServer, minio_server
from tests.servers.nats import NatsServer, free_port, nats_server
from tests.waiting import appears, becomes

__all__ = ["minio_server", "nats_server"]

SERVICE = """
from suti.infra.service import Service, run_service
from suti.infra.settings import ServiceSettings

run_service("suti_test", ServiceSettings, lambda settings, bus: Service(settings.make_server()))
"""
# A queue that the service may look at and not make, as a service's user on a cluster.
RIGHTS = """
authorization { users: [
  {user: maker, password: m}
  {user: looker, password: l, permissions: {publish: ["$JS.API.STREAM.INFO.SUTI_WORK"], subscribe: ["_INBOX.>"]}}
] }
"""


@dataclass
class Started:
    """A service's process."""

    process: Process
    health: str
    port_file: Path
    log_file: Path

    async def says(self, name: str) -> str:
        """What health answers."""
        async with grpc.aio.insecure_channel(self.health) as channel:
            request = health_pb2.HealthCheckRequest(service=name)
            health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs have no types
            answer = await health.Check(request, wait_for_ready=True, timeout=30)
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def log(self) -> list[str]:
        """What was logged."""
        return [json.loads(line)["message"] for line in self.log_file.read_text().splitlines()]

    async def waits_for(self, what: str) -> None:
        """Returns once it said so."""
        await becomes(lambda: any(line.startswith(f"waiting for {what}") for line in self.log()))


Start = Callable[..., Awaitable[Started]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[Start]:
    """Starts services; none is left."""
    started: list[Process] = []

    async def begin(nats_url: str, **settings: str) -> Started:
        health = f"127.0.0.1:{free_port()}"
        told = {"nats_url": nats_url, "store_url": f"file://{tmp_path}/store", "health_listen": health, "log_json": "1"}
        told |= {"port_file": str(tmp_path / "port"), **settings}
        environment = {**os.environ, **{name.upper(): value for name, value in told.items()}}
        with (tmp_path / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SERVICE, env=environment, stdout=PIPE, stderr=log
            )
        started.append(process)
        return Started(process, health, tmp_path / "port", tmp_path / "log")

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_service_waits_for_a_server_that_comes_late(start: Start, tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    service = await start(server.url)
    await service.waits_for("NATS")
    meanwhile = [await service.says(name) for name in (PROCESS, MODEL)]

    server.start()
    try:
        await appears(service.port_file)
        await becomes(lambda: _serves(service))
        service.process.send_signal(signal.SIGTERM)
        code = await service.process.wait()
    finally:
        server.stop()

    assert meanwhile == ["NOT_SERVING", "NOT_SERVING"]
    assert code == 0
    assert sum(line.startswith("waiting for") for line in service.log()) == 1
    assert service.log()[0].startswith("waiting for NATS, 5")  # nothing else while it waits
    assert len(service.log()) < 12, service.log()


async def test_a_service_waits_for_the_queue_that_somebody_else_makes(start: Start, tmp_path: Path) -> None:
    (tmp_path / "rights.conf").write_text(RIGHTS)
    server = NatsServer(tmp_path / "nats", arguments=("-c", str(tmp_path / "rights.conf")))
    server.start()
    try:
        service = await start(server.url, nats_user="looker", nats_password="l")
        await service.waits_for("the work queue")
        meanwhile = await service.says(MODEL)
        async with await Bus.connect(server.url, name="maker", user="maker", password="m") as maker:
            await maker.ensure_streams()
        await appears(service.port_file)
        await becomes(lambda: _serves(service))
        service.process.send_signal(signal.SIGTERM)
        code = await service.process.wait()
    finally:
        server.stop()

    assert (meanwhile, code) == ("NOT_SERVING", 0)


async def test_a_service_waits_for_the_bucket_that_somebody_else_makes(
    start: Start, nats_server: NatsServer, minio_server: MinioServer
) -> None:
    service = await start(nats_server.url, **store_settings(minio_server, "late-bucket"))
    await service.waits_for("the store s3://late-bucket")
    meanwhile = await service.says(MODEL)

    await asyncio.to_thread(minio_server.new_store, "late-bucket")

    await appears(service.port_file)
    await becomes(lambda: _serves(service))
    assert meanwhile == "NOT_SERVING"
    assert sum(line.startswith("waiting for") for line in service.log()) == 1


async def test_keys_that_the_store_does_not_take_end_the_service_with_their_name(
    start: Start, nats_server: NatsServer, minio_server: MinioServer
) -> None:
    await asyncio.to_thread(minio_server.new_store, "refusing")
    told = store_settings(minio_server, "refusing") | {"store_secret_key": "of-somebody-else"}
    service = await start(nats_server.url, **told, patience_s="3")

    assert await asyncio.wait_for(service.process.wait(), 60) == 78
    assert service.log()[-1].startswith("STORE_REFUSED: ")


async def test_patience_has_an_end_and_the_log_says_what_was_missing(start: Start) -> None:
    service = await start(f"nats://127.0.0.1:{free_port()}", patience_s="2")

    assert await asyncio.wait_for(service.process.wait(), 60) == 75
    assert service.log()[-1].startswith("BUS_UNAVAILABLE: NATS at")


async def test_a_user_that_the_server_does_not_know_ends_the_service_at_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "rights.conf").write_text(RIGHTS)
    server = NatsServer(tmp_path / "nats", arguments=("-c", str(tmp_path / "rights.conf")))
    server.start()
    try:
        service = await start(server.url, nats_user="stranger", nats_password="x", patience_s="600")
        code = await asyncio.wait_for(service.process.wait(), 60)
    finally:
        server.stop()

    assert code == 78
    assert service.log()[-1].startswith("BUS_REFUSED")


async def test_a_service_that_waits_ends_as_soon_as_it_is_asked_to(start: Start) -> None:
    service = await start(f"nats://127.0.0.1:{free_port()}", patience_s="600")
    await service.waits_for("NATS")
    began = time.monotonic()

    service.process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(service.process.wait(), 60) == 0
    assert time.monotonic() - began < 5


def store_settings(server: MinioServer, bucket: str) -> dict[str, str]:
    """Where a service's store is."""
    return {
        "store_url": f"s3://{bucket}",
        "store_endpoint": server.endpoint,
        "store_access_key": server.access_key,
        "store_secret_key": server.secret_key,
        "store_region": "us-east-1",
        "store_allow_http": "true",
    }


async def _serves(service: Started) -> bool:
    return await service.says(MODEL) == "SERVING"
