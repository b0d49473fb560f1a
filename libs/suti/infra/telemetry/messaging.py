"""Spans of the bus, by OpenTelemetry's conventions for messaging. A shard has its own trace, linked to its run's."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from suti.infra.telemetry.context import incoming_context, working_on

_tracer = trace.get_tracer("suti.infra.bus")


@contextmanager
def sending_ticket(*, run_id: str, stage: str, shard: int, subject: str) -> Generator[Span]:
    """A new trace for the shard, linked to the trace at hand; its first span is the sending of the ticket."""
    asking = trace.get_current_span().get_span_context()
    with (
        working_on(run_id=run_id, stage=stage, shard=shard),
        _tracer.start_as_current_span(
            f"send {_template(stage)}",
            context=Context(),
            kind=SpanKind.PRODUCER,
            links=[Link(asking)] if asking.is_valid else [],
            attributes={**_destination(stage, subject), "messaging.operation.name": "send"}
            | {"messaging.operation.type": "send"},
        ) as span,
    ):
        yield span


@contextmanager
def processing_ticket(
    *, run_id: str, stage: str, shard: int, subject: str, delivery: int, headers: Mapping[str, str] | None
) -> Generator[Span]:
    """A span for one delivery of a ticket, in the trace that the ticket's headers carry."""
    with (
        working_on(run_id=run_id, stage=stage, shard=shard),
        _tracer.start_as_current_span(
            f"process {_template(stage)}",
            context=incoming_context(headers),
            kind=SpanKind.CONSUMER,
            attributes={**_destination(stage, subject), "messaging.operation.name": "process"}
            | {"messaging.operation.type": "process", "suti.delivery": delivery},
        ) as span,
    ):
        yield span


def _template(stage: str) -> str:
    return f"suti.v1.{stage}.shard"


def _destination(stage: str, subject: str) -> dict[str, str]:
    return {
        "messaging.system": "nats",
        "messaging.destination.name": subject,
        "messaging.destination.template": f"{_template(stage)}.{{run_id}}.{{shard}}",
    }
