"""Spans of gRPC calls, by OpenTelemetry's conventions for RPC."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from suti.infra.telemetry.context import incoming_context

# A caller's mistake is no failure of the server.
_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"},
)

_tracer = trace.get_tracer("suti.infra.rpc")


@contextmanager
def answering_call(method: str, metadata: Mapping[str, str | bytes]) -> Generator[Span]:
    """A server's span for one call (`package.Service/Method`), in the trace that the call's metadata carries."""
    headers = {key: value for key, value in metadata.items() if isinstance(value, str)}
    with _tracer.start_as_current_span(
        method,
        context=incoming_context(headers),
        kind=SpanKind.SERVER,
        attributes={"rpc.system.name": "grpc", "rpc.method": method},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def calling_span(method: str, *, target: str) -> Span:
    """A caller's span for one call, as child of the span at hand. Whoever starts it ends it with `call_ended`."""
    host, _, port = target.rpartition(":")
    return _tracer.start_span(
        method,
        kind=SpanKind.CLIENT,
        attributes={
            "rpc.system.name": "grpc",
            "rpc.method": method,
            "server.address": host or target,
            **({"server.port": int(port)} if port.isdigit() else {}),
        },
    )


def call_ended(span: Span, code: str) -> None:
    """The span tells how the call ended: a name of grpc.StatusCode."""
    span.set_attribute("rpc.response.status_code", code)
    faults = code in _SERVER_FAULTS if _is_server(span) else code != "OK"
    if faults:
        span.set_status(StatusCode.ERROR, code)


def _is_server(span: Span) -> bool:
    return getattr(span, "kind", None) is SpanKind.SERVER
