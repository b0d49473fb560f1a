import io
import json
import logging
from collections.abc import Generator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from suti.infra.logs import setup_logs
from suti.infra.telemetry.context import working_on


@pytest.fixture(autouse=True)
def untouched_root() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_json_with_trace_span_run_and_shard() -> None:
    out = io.StringIO()
    setup_logs("suti_filtering", json=True, stream=out)

    with (
        TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("work"),
        working_on(run_id="R", stage="filtering", shard=3),
    ):
        context = trace.get_current_span().get_span_context()
        logging.getLogger("suti.test").warning("%d pictures", 5)

    line = json.loads(out.getvalue())
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "WARNING",
        "service": "suti_filtering",
        "logger": "suti.test",
        "message": "5 pictures",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "run_id": "R",
        "stage": "filtering",
        "shard": 3,
    }


def test_an_exception_stays_on_its_line() -> None:
    out = io.StringIO()
    setup_logs("suti_filtering", json=True, stream=out)

    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("suti.test").exception("failed")

    (line,) = out.getvalue().splitlines()
    assert "ValueError: two\nlines" in json.loads(line)["exception"]


def test_a_person_gets_plain_lines_at_the_wanted_level() -> None:
    out = io.StringIO()
    setup_logs("suti_filtering", json=False, level="WARNING", stream=out)

    with working_on(run_id="R", stage="filtering", shard=3):
        logging.getLogger("suti.test").info("quiet")
        logging.getLogger("suti.test").warning("loud")

    assert out.getvalue().splitlines()[0].endswith("WARNING suti_filtering: loud  [R filtering 3]")
    assert "quiet" not in out.getvalue()
