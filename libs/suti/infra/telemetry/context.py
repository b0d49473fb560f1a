"""What the work at hand belongs to, as carried to logs, spans, headers, gRPC metadata and jobs (W3C trace context)."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

RUN_ID = "suti.run_id"
STAGE = "suti.stage"
SHARD = "suti.shard"

_PROPAGATOR = TraceContextTextMapPropagator()
_work: ContextVar[Mapping[str, str | int]] = ContextVar("suti_work", default={})  # noqa: B039 - never written to


@contextmanager
def working_on(*, run_id: str, stage: str = "", shard: int | None = None) -> Generator[None]:
    """Every span and log line inside says which run (and stage, and shard) it belongs to."""
    named: dict[str, str | int] = {RUN_ID: run_id}
    if stage:
        named[STAGE] = stage
    if shard is not None:
        named[SHARD] = shard
    token = _work.set(named)
    try:
        yield
    finally:
        _work.reset(token)


def current_work() -> Mapping[str, str | int]:
    """The attributes that `working_on` set here; empty outside of it."""
    return _work.get()


def current_trace_id() -> str:
    """32 hex digits; empty outside of any trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def current_span_id() -> str:
    """16 hex digits; empty outside of any span."""
    context = trace.get_current_span().get_span_context()
    return f"{context.span_id:016x}" if context.is_valid else ""


def outgoing_headers() -> dict[str, str]:
    """`traceparent` (and `tracestate`) of the current span; empty outside of any trace."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def incoming_context(headers: Mapping[str, str] | None) -> Context:
    """The context that headers carry: a parent for a span. Without any, spans start a trace of their own."""
    return _PROPAGATOR.extract({name.lower(): value for name, value in (headers or {}).items()}, context=Context())
