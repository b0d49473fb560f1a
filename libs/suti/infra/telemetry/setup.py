"""Turns telemetry on for a process: spans to a collector or a file of its own, metrics to a collector or a port."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from suti.infra.telemetry.context import current_work
from suti.infra.telemetry.files import SpanFile

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


class _WorkAttributes(SpanProcessor):
    """Every span says which run, stage and shard it belongs to."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        span.set_attributes(current_work())


@dataclass
class Telemetry:
    """What `setup` turned on. Close it last, so that nothing is lost."""

    tracing: TracerProvider
    metering: MeterProvider | None
    exposition: "WSGIServer | None" = None

    def close(self) -> None:
        """What was measured is sent; nothing is measured any more."""
        self.tracing.shutdown()
        if self.metering is not None:
            self.metering.shutdown()
        if self.exposition is not None:
            self.exposition.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def setup(
    service: str,
    *,
    otlp_endpoint: str | None = None,
    folder: Path | None = None,
    prometheus_port: int | None = None,
) -> Telemetry:
    """Spans and metrics of this process go somewhere from now on; once per process.

    Spans: to the OTLP collector if there is one, else to a file of this process in `folder`, else nowhere.
    Metrics: to the collector, and to Prometheus on `prometheus_port` (all addresses, path /metrics), where given.
    """
    resource = Resource.create({"service.name": service, "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"})
    tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracing.add_span_processor(_WorkAttributes())
    readers: list[MetricReader] = []
    if otlp_endpoint:
        # Slow to import, and needed only here.
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        plaintext = not otlp_endpoint.startswith("https://")
        tracing.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint, insecure=plaintext, timeout=5))
        )
        readers.append(
            PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=otlp_endpoint, insecure=plaintext, timeout=5))
        )
    elif folder is not None:
        # Written as each span ends: a killed process leaves all that it finished.
        tracing.add_span_processor(SimpleSpanProcessor(SpanFile(folder, service=service)))
    exposition = None
    if prometheus_port is not None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
        from prometheus_client import start_http_server  # noqa: PLC0415

        readers.append(PrometheusMetricReader())
        exposition, _ = start_http_server(prometheus_port)
    metering = MeterProvider(readers, resource=resource, shutdown_on_exit=False) if readers else None
    trace.set_tracer_provider(tracing)
    if metering is not None:
        metrics.set_meter_provider(metering)
    return Telemetry(tracing=tracing, metering=metering, exposition=exposition)
