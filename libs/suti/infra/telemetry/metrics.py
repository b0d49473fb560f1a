"""Every metric of every service, in one place. Which service emits which: docs/telemetry.md."""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from suti.infra.telemetry.outcomes import AttemptOutcome, TicketOutcome

_meter = metrics.get_meter("suti")

_tickets = _meter.create_histogram(
    "messaging.process.duration", unit="s", description="How long one delivery of a ticket took"
)
_server_calls = _meter.create_histogram("rpc.server.call.duration", unit="s", description="How long an answer took")
_client_calls = _meter.create_histogram("rpc.client.call.duration", unit="s", description="How long a call took")
_jobs = _meter.create_counter("suti.jobs.attempts", unit="{attempt}", description="Ended attempts of job indexes")
_letters = _meter.create_counter("suti.dead.letters", unit="{letter}", description="Tickets that were given up")
_items = _meter.create_counter("suti.items", unit="{item}", description="What stages took in, put out and dropped")
_shards = _meter.create_histogram("suti.shard.duration", unit="s", description="How long a shard took, committed")
_drawn = _meter.create_counter("suti.pictures.drawn", unit="{picture}", description="Pictures drawn for requests")
_waiting = _meter.create_up_down_counter(
    "suti.requests.waiting", unit="{request}", description="Requests that wait for their pictures, drawing included"
)


def expect_tickets(*, stage: str) -> None:
    """This process works on a stage's tickets: what it has not given up yet is 0, not unknown."""
    _letters.add(0, {"suti.stage": stage})


def record_ticket(*, stage: str, outcome: TicketOutcome, seconds: float) -> None:
    """One delivery ended so."""
    if outcome is TicketOutcome.DEAD_LETTER:
        _letters.add(1, {"suti.stage": stage})
    _tickets.record(
        seconds,
        {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.destination.template": f"suti.v1.{stage}.shard",
            "suti.stage": stage,
            "suti.outcome": outcome.value,
        },
    )


def record_server_call(*, method: str, code: str, seconds: float) -> None:
    """One gRPC call was answered."""
    _server_calls.record(seconds, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code})


def record_client_call(*, method: str, code: str, seconds: float) -> None:
    """One gRPC call got its answer."""
    _client_calls.record(seconds, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code})


def expect_job_attempts() -> None:
    """This process launches jobs: what has not happened yet is 0, not unknown."""
    for outcome in AttemptOutcome:
        _jobs.add(0, {"suti.outcome": outcome.value})


def count_job_attempt(*, outcome: AttemptOutcome) -> None:
    """One attempt of a job's index ended so."""
    _jobs.add(1, {"suti.outcome": outcome.value})


def record_shard(*, stage: str, seconds: float, items_in: int, items_out: int, dropped: int) -> None:
    """A shard was committed."""
    _shards.record(seconds, {"suti.stage": stage})
    for kind, count in (("in", items_in), ("out", items_out), ("dropped", dropped)):
        _items.add(count, {"suti.stage": stage, "suti.direction": kind})


def count_drawn(pictures: int) -> None:
    """A request got so many pictures. What stages draw and judge is in `record_shard`."""
    _drawn.add(pictures)


def count_waiting(change: int) -> None:
    """So many requests more (or, negative, fewer) wait for their pictures."""
    _waiting.add(change)


_watched: list[Callable[[], Mapping[str, int]]] = []


def watch_jobs(by_state: Callable[[], Mapping[str, int]]) -> None:
    """From now on the jobs that a launcher has at work (`running`) or waiting (`pending`) are measured."""
    _watched[:] = [by_state]


def _jobs_at_work(_: CallbackOptions) -> Iterable[Observation]:
    for by_state in _watched:
        for state, jobs in by_state().items():
            yield Observation(jobs, {"suti.state": state})


_meter.create_observable_gauge(
    "suti.jobs.at.work", [_jobs_at_work], unit="{job}", description="Jobs that have not ended, by state"
)
