"""One attempt as a local process: started so that its exit code outlives whoever started it, found again, ended.

The command runs under a small shell that writes its own pid first and the exit code last. So a launcher that was killed
and came back knows which process is its own (by the attempt's path in its command line: a pid alone may be anybody's by
then) and how it ended meanwhile. Command and shell share a session of their own, so that both get the signals.
"""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

_SHELL = """
at=$1; shift
trap : TERM INT
echo $$ > "$at.pid"
"$@"
code=$?
echo $code > "$at.exit.new" && mv "$at.exit.new" "$at.exit"
"""
_POLL_S = 0.1
_BEGINNING_S = 2.0


class Attempt:
    """One attempt of one index, known by the path that its files start with: `<path>.pid`, `<path>.exit`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._child: asyncio.subprocess.Process | None = None

    async def start(self, command: tuple[str, ...], *, environment: Mapping[str, str], log: Path) -> None:
        """Runs the command; what it writes is added to `log`."""
        with log.open("ab") as out:
            self._child = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _SHELL, "suti-job", str(self.path), *command),
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        # The shell writes the same, for the case that we die right here.
        self.path.with_suffix(".pid").write_text(f"{self._child.pid}\n")

    def alive(self) -> bool:
        """Whether the process is there and is ours."""
        return self._process() is not None

    async def ended(self) -> int | None:
        """Waits for the end. The exit code; None if it was killed so hard that it left none."""
        if self._child is not None:
            await self._child.wait()
        else:
            while self._beginning() or self.alive():  # noqa: ASYNC110 - nobody but the parent is told
                await asyncio.sleep(_POLL_S)
        return self.exit_code()

    def exit_code(self) -> int | None:
        """What the command ended with; None while it runs, or if it left none."""
        try:
            return int(self.path.with_suffix(".exit").read_text())
        except (FileNotFoundError, ValueError):
            return None

    async def stop(self, *, grace_s: float) -> None:
        """SIGTERM, and after `grace_s` SIGKILL, to the process and all it started. No error if it ended already."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await self.ended()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.ended()

    def _beginning(self) -> bool:
        """Whether another launcher may be starting it this very moment."""
        try:
            age_s = time.time() - self.path.with_suffix(".begun").stat().st_mtime
        except FileNotFoundError:
            return False
        return age_s < _BEGINNING_S and not self.path.with_suffix(".pid").exists()

    def _signal(self, number: signal.Signals) -> None:
        if (process := self._process()) is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)  # the shell leads its session, so its pid is the group's

    def _process(self) -> psutil.Process | None:
        try:
            pid = self._child.pid if self._child is not None else int(self.path.with_suffix(".pid").read_text())
            process = psutil.Process(pid)
            ours = str(self.path) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return process if ours else None
