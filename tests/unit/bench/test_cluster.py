"""What the bench on a cluster does besides measuring: its logs, its questions, its nodes."""

import math
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from bench.cluster import process, ready
from bench.cluster_questions import Questions, told


def test_what_services_say_goes_where_the_results_go_whether_the_folder_was_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "none")
    monkeypatch.chdir(tmp_path)
    logs = tmp_path / "elsewhere" / "results"

    process(tmp_path, "nats://nowhere:4222", "pipeline", ["this"], logs=logs).wait(60)

    assert "The Zen of Python" in (logs / "pipeline.log").read_text()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow  # each call is tried anew for some seconds
def test_a_question_that_fails_is_counted_and_the_next_is_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:  # bound, and not listening: each call is refused
        nobody.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(f"127.0.0.1:{nobody.getsockname()[1]}")
        asked = Questions(tmp_path / "port", "01JD0000000000000000000000", every_s=0.01)
        deadline = time.monotonic() + 60
        while asked.failed < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        asked.stop()

    assert asked.failed >= 2
    assert asked.took("status") is None
    assert told(asked.took("status")) == "never answered"
    assert "no answer to 'status'" in capfd.readouterr().out


def test_answers_are_told_by_their_median_and_the_slowest() -> None:
    assert told((0.12, math.pi)) == "0.12 s (at most 3.14)"


def test_each_node_is_looked_at_not_the_last_alone() -> None:
    def node(name: str, **conditions: str) -> dict[str, Any]:
        told = [{"type": kind, "status": status} for kind, status in conditions.items()]
        return {"metadata": {"name": name}, "status": {"conditions": told} if told else {}}

    nodes = [node("a", Ready="False"), node("b"), node("c", MemoryPressure="True"), node("d", Ready="True")]

    assert ready(nodes) == {"d"}
