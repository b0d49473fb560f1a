"""Every metric of every service, in one place. Which service emits which: docs/telemetry.md."""

from opentelemetry import metrics

_meter = metrics.get_meter("suti")

_tickets = _meter.create_histogram(
    "messaging.process.duration", unit="s", description="How long one delivery of a ticket took"
)
_server_calls = _meter.create_histogram("rpc.server.call.duration", unit="s", description="How long an answer took")
_client_calls = _meter.create_histogram("rpc.client.call.duration", unit="s", description="How long a call took")
_jobs = _meter.create_counter("suti.jobs.attempts", unit="{attempt}", description="Ended attempts of job indexes")
_items = _meter.create_counter("suti.items", unit="{item}", description="What stages took in, put out and dropped")
_shards = _meter.create_histogram("suti.shard.duration", unit="s", description="How long a shard took, committed")
_drawn = _meter.create_counter("suti.pictures.drawn", unit="{picture}", description="Pictures drawn for requests")
_waiting = _meter.create_up_down_counter(
    "suti.requests.waiting", unit="{request}", description="Requests that wait for their pictures, drawing included"
)


def record_ticket(*, stage: str, outcome: str, seconds: float) -> None:
    """One delivery ended: `done`, `retried`, `put back` or `dead letter`."""
    _tickets.record(
        seconds,
        {
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.destination.template": f"suti.v1.{stage}.shard",
            "suti.stage": stage,
            "suti.outcome": outcome,
        },
    )


def record_server_call(*, method: str, code: str, seconds: float) -> None:
    """One gRPC call was answered."""
    _server_calls.record(seconds, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code})


def record_client_call(*, method: str, code: str, seconds: float) -> None:
    """One gRPC call got its answer."""
    _client_calls.record(seconds, {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code})


def count_job_attempt(*, outcome: str) -> None:
    """One attempt of a job's index ended: a value of JobState, `retried` or `preempted`."""
    _jobs.add(1, {"suti.outcome": outcome})


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
