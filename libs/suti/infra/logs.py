"""Logs: JSON with trace, span and run for machines, plain lines for a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from suti.infra.telemetry.context import current_span_id, current_trace_id, current_work

_CHATTY = ("asyncio", "grpc", "httpx", "httpcore", "urllib3", "nats", "opentelemetry", "PIL")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, service, logger, message; trace, span, run, stage, shard where known."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields: dict[str, str | int] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace_id := current_trace_id():
            fields |= {"trace_id": trace_id, "span_id": current_span_id()}
        fields |= {key.removeprefix("suti."): value for key, value in current_work().items()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=str)


class PlainLines(logging.Formatter):
    """One line for a person: time, level, service, message, and the shard where known."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        work = " ".join(str(value) for value in current_work().values())
        line = f"{at} {record.levelname:<7} {self._service}: {record.getMessage()}{f'  [{work}]' if work else ''}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def setup_logs(service: str, *, json: bool | None = None, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Everything that this process logs goes to stderr (or `stream`) in one format; `json` unset: unless a terminal."""
    out = stream or sys.stderr
    as_json = not out.isatty() if json is None else json
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines(service) if as_json else PlainLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:  # their INFO is not ours
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
