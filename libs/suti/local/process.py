"""One child process: started with a log of its own, watched, stopped with everything it started."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_LOG_TAIL_BYTES = 4000


@dataclass
class ChildProcess:
    """A command that is to run. It leads a process group, so that a terminal's Ctrl-C reaches its parent alone."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    starts: int = 0
    started_at: float = 0.0  # monotonic
    popen: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Runs from now on; its output is appended to its log."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(  # noqa: S603 - our own commands
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        """0 before the first start."""
        return self.popen.pid if self.popen else 0

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.popen is not None and self.popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self.popen.poll() if self.popen else None

    @property
    def uptime_s(self) -> float:
        """Seconds since the last start."""
        return time.monotonic() - self.started_at

    def ask_to_stop(self) -> None:
        """SIGTERM, if it runs."""
        if self.popen is not None and self.is_running:
            self.popen.terminate()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within the time."""
        if self.popen is None:
            return True
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout_s)
        return not self.is_running

    def kill(self) -> None:
        """Ends it and whatever is left of its process group, at once."""
        if self.popen is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(5)

    def log_tail(self) -> str:
        """The end of its output, for people."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return ""


def family_rss_bytes() -> int:
    """Resident memory of this process and all that it started, summed."""
    total, own = 0, psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_info().rss
    return total
