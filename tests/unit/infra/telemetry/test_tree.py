import json
from pathlib import Path

from suti.infra.telemetry.files import SpanRecord, read_trace
from suti.infra.telemetry.tree import render_tree

S = 1_000_000_000


def span(span_id: str, *, trace: str = "t1", parent: str = "", start_s: float = 0, seconds: float = 1, **more: object):
    fields: dict[str, object] = {
        "trace_id": trace,
        "span_id": span_id,
        "parent_id": parent,
        "links": (),
        "name": span_id,
        "service": "svc",
        "kind": "INTERNAL",
        "start_ns": int(start_s * S),
        "end_ns": int((start_s + seconds) * S),
        "attributes": {},
        "status": "UNSET",
    }
    return SpanRecord(**(fields | more))  # pyright: ignore[reportArgumentType] - any of the fields


def test_a_tree_shows_order_times_failures_and_where_a_linked_trace_came_from() -> None:
    spans = [
        span("root", start_s=100, seconds=2),
        span("late", parent="root", start_s=101, seconds=0.5, status="ERROR", status_message="BUSY"),
        span("early", parent="root", start_s=100.25, seconds=0.125),
        span("shard", trace="t2", links=(("t1", "early"),), start_s=100.5, attributes={"suti.shard": 3}),
        span("orphan", trace="t3", parent="never written", start_s=103),
    ]

    assert render_tree(spans).splitlines() == [
        "    0.000s     2.000s  svc: root",
        "    0.250s     0.125s  ├─ svc: early",
        "    0.500s     1.000s  │  └─ ~> svc: shard shard=3",
        "    1.000s     0.500s  └─ svc: late  FAILED BUSY",
        "    3.000s     1.000s  svc: orphan",
    ]


def test_no_spans_are_told() -> None:
    assert render_tree([]) == "no spans\n"


def test_only_the_runs_traces_are_read_and_a_cut_line_is_passed_over(tmp_path: Path) -> None:
    def line(record: SpanRecord) -> str:
        return json.dumps({name: getattr(record, name) for name in SpanRecord.__slots__})

    ours = span("ours", attributes={"suti.run_id": "R"})
    child = span("child", parent="ours")
    other = span("other", trace="t2", attributes={"suti.run_id": "S"})
    (tmp_path / "deep").mkdir()
    (tmp_path / "a-1.spans.jsonl").write_text(f"{line(ours)}\n{line(other)}\n{line(child)[:40]}")
    (tmp_path / "deep" / "b-2.spans.jsonl").write_text(f"{line(child)}\n")

    assert [found.span_id for found in read_trace(tmp_path, "R")] == ["child", "ours"]
    assert read_trace(tmp_path / "missing", "R") == []
