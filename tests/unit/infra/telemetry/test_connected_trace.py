import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from suti.infra.telemetry.files import read_trace
from suti.infra.telemetry.tree import render_tree
from tests.servers.nats import NatsServer, nats_server
from tests.waiting import appears

__all__ = ["nats_server"]

RUN = "01JD0000000000000000000000"
_TIMES = len("    0.000s     0.000s  ")

SERVICE = """
import asyncio, sys
from pathlib import Path
from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.lifecycle import serve
from suti.infra.rpc.server import RpcServer
from suti.infra.telemetry.setup import setup

nats, folder, port_file = sys.argv[1:]

class Servicer(pipeline_pb2_grpc.PipelineServiceServicer):
    async def GetRun(self, request, context):
        await bus.issue(ShardTicket(run_id=request.run_id, stage="experts", shard=7))
        return pipeline_pb2.Run(run_id=request.run_id)

async def main():
    global bus
    with setup("suti_pipeline", folder=Path(folder)):
        bus = await Bus.connect(nats, name="pipeline")
        await bus.ensure_streams()
        server = RpcServer("127.0.0.1:0")
        server.add(pipeline_pb2_grpc.add_PipelineServiceServicer_to_server, Servicer())
        await serve(server=server, drain_s=2, on_stop=bus.close, port_file=Path(port_file))

asyncio.run(main())
"""

CLIENT = """
import asyncio, sys
from pathlib import Path
from opentelemetry import trace
from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.rpc.channel import open_channel
from suti.infra.telemetry.setup import setup

async def main():
    with setup("client", folder=Path(sys.argv[2])):
        with trace.get_tracer("test").start_as_current_span("asking"):
            async with open_channel(sys.argv[1]) as channel:
                stub = pipeline_pb2_grpc.PipelineServiceStub(channel)
                await stub.GetRun(pipeline_pb2.GetRunRequest(run_id=sys.argv[3]))

asyncio.run(main())
"""

WORKER = """
import asyncio, sys
from pathlib import Path
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import JobSpec
from suti.infra.store import Store
from suti.infra.telemetry.setup import setup

nats, folder, scratch, job = sys.argv[1:]

async def main():
    stop = asyncio.Event()
    with setup("suti_experts", folder=Path(folder)):
        bus = await Bus.connect(nats, name="experts")
        jobs = LocalJobs(Path(scratch) / "jobs", slots=1)

        async def handle(ticket, lease):
            await jobs.start(JobSpec(
                name="tune", command=(sys.executable, "-c", job), indexes=(ticket.shard,),
                environment={"SUTI_TELEMETRY_FOLDER": folder},
            ))
            while not (status := await jobs.status("tune")) or not status.state.ended:
                await asyncio.sleep(0.05)
            assert status.state == "succeeded", await jobs.logs("tune", ticket.shard)
            stop.set()

        worker = Worker(bus, stage="experts", handle=handle, dead_letters=DeadLetters(Store.open(f"file://{scratch}/s")))
        await worker.run(stop)
        await bus.close()

asyncio.run(main())
"""

JOB = """
from opentelemetry import trace
from suti.infra.jobs.entry import run_job

def main(job):
    with trace.get_tracer("test").start_as_current_span("expert"):
        pass

run_job(main, service="suti_experts_job")
"""


@asynccontextmanager
async def python(script: str, *arguments: str | Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *map(str, arguments))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_one_connected_tree_from_the_callers_span_to_the_jobs(nats_server: NatsServer, tmp_path: Path) -> None:
    folder = tmp_path / "telemetry"
    async with (
        python(SERVICE, nats_server.url, folder, tmp_path / "port") as service,
        python(WORKER, nats_server.url, folder, tmp_path, JOB) as worker,
    ):
        address = await appears(tmp_path / "port")
        async with python(CLIENT, address, folder, RUN) as client:
            assert await client.wait() == 0
        assert await worker.wait() == 0
        service.terminate()
        assert await service.wait() == 0

    spans = read_trace(folder, RUN)
    tree = [line[_TIMES:] for line in render_tree(spans).splitlines()]

    method = "suti.api.pipeline.v1.PipelineService/GetRun"
    assert tree == [
        "client: asking",
        f"└─ client: {method}",
        f"   └─ suti_pipeline: {method}",
        "      └─ ~> suti_pipeline: send suti.v1.experts.shard stage=experts shard=7",
        "         └─ suti_experts: process suti.v1.experts.shard stage=experts shard=7",
        "            └─ suti_experts_job: job shard=7",
        "               └─ suti_experts_job: expert",
    ]
    assert len({span.trace_id for span in spans}) == 2  # the request's, and the shard's own
    by_name = {(span.service, span.name): span for span in spans}
    called = by_name["suti_pipeline", method].attributes
    assert (called["rpc.system.name"], called["rpc.method"]) == ("grpc", method)
    assert called["rpc.response.status_code"] == "OK"
    processed = by_name["suti_experts", "process suti.v1.experts.shard"]
    assert processed.kind == "CONSUMER"
    assert processed.attributes["messaging.system"] == "nats"
    assert processed.attributes["messaging.destination.name"] == f"suti.v1.experts.shard.{RUN}.7"
    assert processed.attributes["suti.run_id"] == RUN
