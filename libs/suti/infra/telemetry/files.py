"""Spans as JSON lines, a file per process, for machines without a collector; and how they are read again."""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from suti.infra.telemetry.context import RUN_ID

_ENDING = ".spans.jsonl"


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One finished span. Ids in hex, times in nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str  # empty for the first of its trace
    links: tuple[tuple[str, str], ...]  # (trace id, span id) of what it was asked for by
    name: str
    service: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    status: str  # OK | ERROR | UNSET
    status_message: str = ""


class SpanFile(SpanExporter):
    """Appends each span as one line to a file of this process; whole lines, so that a reader may come at any time."""

    def __init__(self, folder: Path, *, service: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._service = service
        self._lock = threading.Lock()
        path = folder / f"{service}-{os.getpid()}{_ENDING}"
        self._file = path.open("ab", buffering=0)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Writes the spans; a full disk loses them and nothing else."""
        lines = b"".join(_line(span, service=self._service) for span in spans)
        try:
            with self._lock:
                self._file.write(lines)
        except (OSError, ValueError):  # ValueError: closed already
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Closes the file."""
        self._file.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held back."""
        del timeout_millis
        return True


def read_trace(folder: Path, run_id: str) -> list[SpanRecord]:
    """Every span of every trace that has a span of the run, or that one was asked for by (linked to), by start.

    Lines that are cut short are passed over. `folder` may hold the files of many processes, in subfolders too.
    """
    spans = list(_spans(folder))
    wanted = {span.trace_id for span in spans if span.attributes.get(RUN_ID) == run_id}
    wanted |= {link[0] for span in spans if span.trace_id in wanted for link in span.links}
    return sorted((span for span in spans if span.trace_id in wanted), key=lambda span: (span.start_ns, span.span_id))


def _spans(folder: Path) -> Iterator[SpanRecord]:
    for path in sorted(folder.rglob(f"*{_ENDING}")):
        with path.open("rb") as lines:
            for line in lines:
                try:
                    fields = json.loads(line)
                    fields["links"] = tuple((link[0], link[1]) for link in fields["links"])
                    yield SpanRecord(**fields)
                except (ValueError, TypeError, KeyError):  # a killed process' last line
                    continue


def _line(span: ReadableSpan, *, service: str) -> bytes:
    context = span.get_span_context()
    fields = {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "links": [(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") for link in span.links],
        "name": span.name,
        "service": service,
        "kind": span.kind.name,
        "start_ns": span.start_time or 0,
        "end_ns": span.end_time or 0,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "status_message": span.status.description or "",
    }
    return json.dumps(fields, ensure_ascii=False, default=str).encode() + b"\n"
