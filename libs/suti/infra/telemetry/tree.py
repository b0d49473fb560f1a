"""Spans as a tree of text with times: what `suti trace RUN` prints."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from suti.infra.telemetry.context import SHARD, STAGE
from suti.infra.telemetry.files import SpanRecord

_NS_PER_S = 1_000_000_000


def render_tree(spans: Sequence[SpanRecord]) -> str:
    """One line a span: its start (seconds after the first span of all), its duration, service, name, failure.

    A trace stands under the span that it is linked to, marked with ~>; those linked to nothing known come one after the
    other. A span whose parent is missing (not written yet, or its process was killed) stands as the first of its trace.
    """
    if not spans:
        return "no spans\n"
    known = {(span.trace_id, span.span_id) for span in spans}
    under: dict[tuple[str, str], list[tuple[SpanRecord, str]]] = defaultdict(list)
    roots: list[tuple[SpanRecord, str]] = []
    for span in sorted(spans, key=lambda span: (span.start_ns, span.span_id)):
        linked = next((link for link in span.links if link in known), None)
        if (span.trace_id, span.parent_id) in known:
            under[span.trace_id, span.parent_id].append((span, ""))
        elif linked is not None:
            under[linked].append((span, "~> "))
        else:
            roots.append((span, ""))
    began_ns = min(span.start_ns for span in spans)
    lines: list[str] = []
    for root, _ in roots:
        lines.append(_line(root, began_ns, ""))
        lines.extend(_below(root, under, began_ns, ""))
    return "\n".join(lines) + "\n"


def _below(
    span: SpanRecord, under: dict[tuple[str, str], list[tuple[SpanRecord, str]]], began_ns: int, indent: str
) -> Iterator[str]:
    children = under[span.trace_id, span.span_id]
    for number, (child, mark) in enumerate(children, start=1):
        last = number == len(children)
        yield _line(child, began_ns, f"{indent}{'└─ ' if last else '├─ '}{mark}")
        yield from _below(child, under, began_ns, f"{indent}{'   ' if last else '│  '}")


def _line(span: SpanRecord, began_ns: int, lead: str) -> str:
    at_s = (span.start_ns - began_ns) / _NS_PER_S
    took_s = (span.end_ns - span.start_ns) / _NS_PER_S
    where = "".join(
        f" {key.removeprefix('suti.')}={span.attributes[key]}" for key in (STAGE, SHARD) if key in span.attributes
    )
    failed = f"  FAILED {span.status_message}".rstrip() if span.status == "ERROR" else ""
    return f"{at_s:9.3f}s {took_s:9.3f}s  {lead}{span.service}: {span.name}{where}{failed}"
