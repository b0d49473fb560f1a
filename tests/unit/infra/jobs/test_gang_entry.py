"""A pod of a gang, as a real process, is stopped while it waits for the others."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from suti.core.errors import ExitCode
from tests.servers.nats import free_port
from tests.waiting import becomes

ENDS_WITHIN_S = 5.0  # far below the ten minutes that it would wait for the others


@contextmanager
def waiting(pod: int, port: int) -> Generator[subprocess.Popen[bytes]]:
    """One of two pods; the other never comes."""
    command = (sys.executable, "-m", "suti.infra.jobs.gang_entry", "--pods", "2", "--processes", "1")
    process = subprocess.Popen(
        [*command, "--meet-at", f"127.0.0.1:{port}", "no_such_module"],
        env={**os.environ, "JOB_COMPLETION_INDEX": str(pod)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(ENDS_WITHIN_S)


async def test_the_first_pod_that_waits_for_the_others_ends_when_it_is_stopped() -> None:
    port = free_port()
    with waiting(0, port) as process:
        await becomes(lambda: answers(port), limit_s=30)

        assert ended(process) == ExitCode.TERMINATED


async def test_the_first_pod_is_stopped_while_one_that_came_says_nothing() -> None:
    port = free_port()
    with waiting(0, port) as process:
        await becomes(lambda: answers(port), limit_s=30)
        with socket.create_connection(("127.0.0.1", port)):
            assert ended(process) == ExitCode.TERMINATED


def test_a_pod_that_was_heard_and_waits_for_the_others_ends_when_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, waiting(1, first.getsockname()[1]) as process:
        first.settimeout(30)
        connection, _ = first.accept()
        with connection:
            assert connection.recv(2) == b"1\n"

            assert ended(process) == ExitCode.TERMINATED


def test_a_pod_whose_first_is_not_there_any_more_ends_when_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, waiting(1, first.getsockname()[1]) as process:
        first.settimeout(30)
        connection, _ = first.accept()
        connection.close()
        first.close()

        assert ended(process) == ExitCode.TERMINATED
