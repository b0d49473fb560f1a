import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import STAGE_EXPERTS, STAGE_GROUPING
from suti.cli.progress import reported
from suti.cli.run_watch import in_lines

PROGRAM = """
from suti.cli.progress import reported
with reported("loading") as report:
    for done in range(1, 4):
        report(done, 3, "drawing")
print("answer")
"""


def test_without_a_terminal_each_new_thing_is_one_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with reported("loading") as report:
        for done in range(1, 1001):
            report(done, 1000, "drawing")
        report(0, 0, "waiting")

    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["loading", "drawing 1/1000", "waiting"]


def test_on_a_terminal_it_is_a_bar_and_the_answer_stays_alone_on_stdout(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        ended = subprocess.run([sys.executable, "-c", PROGRAM], stdout=out, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert ended.returncode == 0
    assert (tmp_path / "out").read_text() == "answer\n"
    assert "drawing" in shown
    assert "3/3" in shown
    assert "\x1b[" in shown  # drawn in place


def view(stage: int, state: int, *, out: int = 0) -> pb.Run:
    found = pb.StageProgress(stage=stage, state=state, items_in=4 if out else 0, items_out=out, shards_total=2)  # pyright: ignore[reportArgumentType] - numbers of the enums
    return pb.Run(run_id="R", stages=[found])


def test_a_run_that_is_watched_without_a_terminal_tells_what_happens_and_nothing_twice() -> None:
    runs = [
        view(STAGE_GROUPING, pb.STAGE_STATE_WAITING),
        view(STAGE_GROUPING, pb.STAGE_STATE_RUNNING),
        view(STAGE_GROUPING, pb.STAGE_STATE_RUNNING),
        view(STAGE_GROUPING, pb.STAGE_STATE_DONE, out=3),
        view(STAGE_EXPERTS, pb.STAGE_STATE_INHERITED),
    ]
    lines: list[str] = []

    last = in_lines(runs, lines.append)

    assert lines == ["grouping: running 0%", "grouping: done, 4 pictures in, 3 out", "experts: inherited"]
    assert last == runs[-1]
