"""What the code under test measures, in the process of the tests. A provider is set for good: one for all tests."""

from functools import cache
from typing import Any

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


@cache
def _reader() -> InMemoryMetricReader:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return reader


def measured(name: str, label: str) -> dict[str, float]:
    """A metric's values (a histogram's counts) by a label, since the first call in this process."""
    found: dict[str, float] = {}
    told = _reader().get_metrics_data()
    for metric in (m for r in told.resource_metrics for s in r.scope_metrics for m in s.metrics) if told else ():
        if metric.name == name:
            for point in metric.data.data_points:
                number: Any = point
                found[str(number.attributes[label])] = getattr(number, "count", None) or getattr(number, "value", 0)
    return found


def more(name: str, label: str, before: dict[str, float]) -> dict[str, float]:
    """What came to it since then, where anything did."""
    return {
        key: value - before.get(key, 0) for key, value in measured(name, label).items() if value != before.get(key, 0)
    }
