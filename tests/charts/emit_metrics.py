"""Prints every metric as Prometheus reads it, one of each. A process of its own: a provider is set for good."""

import inspect

from opentelemetry import metrics as api
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest

api.set_meter_provider(MeterProvider([PrometheusMetricReader()]))

from suti.infra.telemetry import metrics  # noqa: E402 - after the provider
from suti.infra.telemetry.outcomes import AttemptOutcome, TicketOutcome  # noqa: E402

_EXAMPLES = {
    "str": "x",
    "float": 1.0,
    "int": 1,
    "AttemptOutcome": AttemptOutcome.FAILED,
    "TicketOutcome": TicketOutcome.DEAD_LETTER,
}

for name, function in inspect.getmembers(metrics, inspect.isfunction):
    if name.startswith(("record_", "count_")):
        signature = inspect.signature(function)
        known = {
            one.name: _EXAMPLES[getattr(one.annotation, "__name__", str(one.annotation))]
            for one in signature.parameters.values()
        }
        positional = [
            known.pop(one.name) for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD
        ]
        function(*positional, **known)
metrics.watch_jobs(lambda: {"pending": 1})
print(generate_latest().decode())  # noqa: T201 - what it is for
