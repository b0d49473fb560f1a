import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from tests.servers.nats import NatsServer, nats_server
from tests.waiting import appears, becomes

__all__ = ["nats_server"]

SERVICE = """
import asyncio, grpc, sys, time
from pathlib import Path
from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.lifecycle import serve
from suti.infra.rpc.server import MODEL, RpcServer
from suti.infra.store import Store

nats, folder, case = sys.argv[1:]
folder = Path(folder)

class Servicer(pipeline_pb2_grpc.PipelineServiceServicer):
    async def GetRun(self, request, context):
        (folder / "called").write_text("x")
        await asyncio.sleep(float(request.run_id))
        if case == "behind" and clerk.done():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "nobody is there any more")
        return pipeline_pb2.Run(run_id=request.run_id)

async def handle(ticket, lease):
    (folder / "worked").write_text("x")
    await lease.keep_alive(time.sleep, 0.8)
    (folder / "finished").write_text("x")

async def broken(stop):
    await asyncio.sleep(0.1)
    raise RuntimeError("a bug")

async def returns(stop):
    await asyncio.sleep(0.1)

async def works_for_calls(stop):
    global clerk
    clerk = asyncio.current_task()
    await stop.wait()

TASKS = {"crash": [broken], "returns": [returns]}

async def main():
    bus = await Bus.connect(nats, name="service")
    await bus.ensure_streams()
    await bus.issue(ShardTicket(run_id="R", stage="filtering", shard=0))
    server = RpcServer("127.0.0.1:0")
    server.add(pipeline_pb2_grpc.add_PipelineServiceServicer_to_server, Servicer())
    worker = Worker(bus, stage="filtering", handle=handle, dead_letters=DeadLetters(Store.open(f"file://{folder}/s")))

    async def ready():
        if case == "not ready":
            raise RuntimeError("no model")
        await server.set_serving(MODEL, serving=True)

    async def stop():
        await bus.close()
        (folder / "stopped").write_text("x")

    await serve(
        server=server, workers=[worker], tasks=TASKS.get(case, []), behind=[works_for_calls], drain_s=40,
        on_ready=ready, on_stop=stop, port_file=folder / "port",
    )

asyncio.run(main())
"""


@asynccontextmanager
async def service(nats: NatsServer, folder: Path, case: str = "well") -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVICE, nats.url, str(folder), case)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_sigterm_says_not_serving_finishes_what_is_in_hand_and_exits_with_0(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with service(nats_server, tmp_path) as process:
        address = await appears(tmp_path / "port")
        async with grpc.aio.insecure_channel(address) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            call = asyncio.ensure_future(
                pipeline_pb2_grpc.PipelineServiceStub(channel).GetRun(pipeline_pb2.GetRunRequest(run_id="0.8"))
            )
            watched = health.Watch(health_pb2.HealthCheckRequest(service="model"))
            assert (await watched.read()).status in (
                health_pb2.HealthCheckResponse.SERVING,
                health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,  # not ready yet
            )
            await becomes(lambda: (tmp_path / "called").exists() and (tmp_path / "worked").exists())
            process.send_signal(signal.SIGTERM)
            states: list[int] = []
            while health_pb2.HealthCheckResponse.NOT_SERVING not in states:
                states.append((await watched.read()).status)
            not_done_yet = not (tmp_path / "finished").exists()
            watched.cancel()
            answer = await call
        assert await process.wait() == 0

    assert not_done_yet
    assert answer.run_id == "0.8"
    assert (tmp_path / "finished").exists()
    assert (tmp_path / "stopped").exists()


async def test_what_calls_wait_for_ends_after_the_last_of_them(nats_server: NatsServer, tmp_path: Path) -> None:
    async with service(nats_server, tmp_path, "behind") as process:
        address = await appears(tmp_path / "port")
        async with grpc.aio.insecure_channel(address) as channel:
            call = asyncio.ensure_future(
                pipeline_pb2_grpc.PipelineServiceStub(channel).GetRun(pipeline_pb2.GetRunRequest(run_id="1.5"))
            )
            await appears(tmp_path / "called")
            process.send_signal(signal.SIGTERM)  # it is in hand, and asks for the rest only later
            answer = await call
        assert await process.wait() == 0

    assert answer.run_id == "1.5"


async def test_a_task_that_crashes_ends_the_process_and_not_with_0(nats_server: NatsServer, tmp_path: Path) -> None:
    async with service(nats_server, tmp_path, "crash") as process:
        assert await process.wait() == 1

    assert (tmp_path / "stopped").exists()


async def test_a_task_that_returns_unasked_ends_the_process_and_not_with_0(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with service(nats_server, tmp_path, "returns") as process:
        assert await process.wait() == 1

    assert (tmp_path / "stopped").exists()


async def test_a_service_that_cannot_get_ready_ends_and_not_with_0(nats_server: NatsServer, tmp_path: Path) -> None:
    async with service(nats_server, tmp_path, "not ready") as process:
        assert await process.wait() == 1


async def test_a_second_signal_ends_the_drain_at_once(nats_server: NatsServer, tmp_path: Path) -> None:
    async with service(nats_server, tmp_path) as process:
        address = await appears(tmp_path / "port")
        async with grpc.aio.insecure_channel(address) as channel:
            call = asyncio.ensure_future(
                pipeline_pb2_grpc.PipelineServiceStub(channel).GetRun(pipeline_pb2.GetRunRequest(run_id="30"))
            )
            await appears(tmp_path / "called")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
            assert time.monotonic() - began < 25  # of the 40 that a drain may take
            outcome = await asyncio.gather(call, return_exceptions=True)
    assert isinstance(outcome[0], grpc.RpcError)
