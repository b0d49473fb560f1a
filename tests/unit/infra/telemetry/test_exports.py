import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.servers.nats import free_port

SENDER = """
import sys
from opentelemetry import trace
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import working_on
from suti.infra.telemetry.setup import setup

with setup("suti_filtering", otlp_endpoint=sys.argv[1]), working_on(run_id="R", stage="filtering", shard=3):
    with trace.get_tracer("test").start_as_current_span("scoring"):
        metrics.record_shard(stage="filtering", seconds=1.0, items_in=5, items_out=3, dropped=2)
"""

EXPOSING = """
import sys, urllib.request
from suti.infra.telemetry import metrics
from suti.infra.telemetry.setup import setup

with setup("suti_filtering", prometheus_port=int(sys.argv[1])):
    metrics.record_shard(stage="filtering", seconds=1.0, items_in=5, items_out=3, dropped=2)
    print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics").read().decode())
"""


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def Export(self, request: Any, context: Any) -> Any:
        self.spans += [
            (batch.resource, span) for batch in request.resource_spans for s in batch.scope_spans for span in s.spans
        ]
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.names: set[str] = set()

    async def Export(self, request: Any, context: Any) -> Any:
        self.names |= {m.name for batch in request.resource_metrics for s in batch.scope_metrics for m in s.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def collector() -> AsyncGenerator[tuple[str, Traces, Metrics]]:
    server = grpc.aio.server()
    traces, metrics = Traces(), Metrics()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(metrics, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}", traces, metrics
    finally:
        await server.stop(0)


async def run(script: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_spans_and_metrics_reach_a_collector() -> None:
    async with collector() as (endpoint, traces, metrics):
        await run(SENDER, endpoint)

    ((resource, span),) = traces.spans
    told = {a.key: a.value.string_value or a.value.int_value for a in (*resource.attributes, *span.attributes)}
    assert span.name == "scoring"
    assert told["service.name"] == "suti_filtering"
    assert (told["suti.run_id"], told["suti.stage"], told["suti.shard"]) == ("R", "filtering", 3)
    assert "suti.items" in metrics.names


async def test_metrics_are_exposed_for_prometheus() -> None:
    exposed = await run(EXPOSING, str(free_port()))

    (line,) = [line for line in exposed.splitlines() if line.startswith("suti_items_total{") and '"in"' in line]
    assert 'suti_stage="filtering"' in line
    assert float(line.split()[-1]) == 5.0
