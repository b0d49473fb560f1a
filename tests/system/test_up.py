"""`suti up` as people run it: a real command, a real nats-server, a real service."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from suti.client import Endpoints, Suti

_START_S = 300.0
_STOP_S = 30.0


class Up:
    """`suti up` with one light service in a data folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "suti.cli.main", "up", "--data", str(self.folder), "--only", "pipeline"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self) -> None:
        self.start()
        wait_until(lambda: (self.folder / "endpoints.json").exists() or self.exit_code() is not None)
        assert (self.folder / "endpoints.json").exists(), self.log.read_text()

    def exit_code(self) -> int | None:
        assert self.process is not None
        return self.process.poll()

    def send(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(_STOP_S)

    def family(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    def service(self) -> psutil.Process:
        return next(one for one in self.family() if "suti_pipeline" in " ".join(one.cmdline()))

    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "endpoints.json").read_text())
        return found


@pytest.fixture
def up(tmp_path: Path) -> Generator[Up]:
    one = Up(tmp_path / "data")
    yield one
    if one.process is not None and one.process.poll() is None:
        one.send(signal.SIGTERM)


def wait_until(there: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _START_S
    while not there():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.1)


def runs(process: psutil.Process) -> bool:
    """Whether it does; one that has ended and was not yet waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def answers(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def runs_of(up: Up) -> list[object]:
    with Suti(Endpoints.load(up.folder / "endpoints.json")) as client:
        return list(client.list_runs())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_order(up: Up, number: signal.Signals) -> None:
    up.ready()
    family = up.family()
    assert runs_of(up) == []

    code = up.send(number)

    assert code == 0, up.log.read_text()
    assert len(family) >= 2
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not (up.folder / "endpoints.json").exists()


@pytest.mark.timeout(900)
def test_a_crashed_service_comes_back_at_the_same_address(up: Up) -> None:
    up.ready()
    before = up.service().pid

    os.kill(before, signal.SIGKILL)

    address = up.endpoints()["pipeline"]
    wait_until(lambda: answers(address))
    assert runs_of(up) == []
    assert up.service().pid != before
    assert up.endpoints()["pipeline"] == address


@pytest.mark.timeout(900)
def test_what_a_killed_command_left_running_is_ended_by_the_next(up: Up) -> None:
    up.ready()
    left = up.family()
    up.send(signal.SIGKILL)
    assert [one for one in left if one.is_running()]
    (up.folder / "endpoints.json").unlink()  # so that the next one's tells when it is ready

    up.ready()

    wait_until(lambda: not any(runs(one) for one in left))
    assert runs_of(up) == []


@pytest.mark.timeout(900)
def test_a_data_folder_has_one_command_at_a_time(up: Up) -> None:
    up.ready()
    second = Up(up.folder)
    second.log = up.folder.with_suffix(".second.log")

    second.start()
    assert second.process is not None
    code = second.process.wait(_START_S)

    assert code == 78
    assert "DATA_FOLDER_IN_USE" in second.log.read_text()
    assert runs_of(up) == []
