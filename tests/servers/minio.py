"""A real MinIO server for a test session: free ports, a folder of its own, gone at the end.

The server is `$SUTI_MINIO_BIN`, or what `scripts/build_minio.sh` (`make servers`) built and cached.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pytest

from suti.infra.store import Store
from suti.infra.store_admin import prepare_bucket

_BUILD_SCRIPT = Path(__file__).parents[2] / "scripts" / "build_minio.sh"
_START_S = 60.0
_STOP_S = 10.0


@dataclass(frozen=True)
class MinioServer:
    """Where the server listens, who may enter, and the process (its `pid` is what a fault test kills)."""

    endpoint: str  # http://127.0.0.1:port
    access_key: str
    secret_key: str
    process: subprocess.Popen[bytes]

    def new_store(self, bucket: str, *, prefix: str = "") -> Store:
        """A store in that bucket, which is made if there is none."""
        prepare_bucket(
            f"s3://{bucket}/{prefix}",
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )
        return self.store(f"s3://{bucket}/{prefix}")

    def store(self, url: str, *, access_key: str | None = None, secret_key: str | None = None) -> Store:
        """A store at that URL on this server; nothing is made."""
        return Store.open(
            url,
            endpoint=self.endpoint,
            access_key=access_key or self.access_key,
            secret_key=secret_key or self.secret_key,
            region="us-east-1",
            allow_http=True,
        )


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[MinioServer]:
    """A running MinIO server; skipped where there is none and none can be built."""
    binary = minio_binary()
    folder = tmp_path_factory.mktemp("minio")
    with (folder / "log").open("wb") as log:
        server = start_minio(binary, data=folder / "data", log=log)
        try:
            yield server
        finally:
            server.process.terminate()
            try:
                server.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait(_STOP_S)


def start_minio(binary: Path, *, data: Path, log: IO[bytes], port: int | None = None) -> MinioServer:
    """Starts a server and waits until it answers, at most a minute. The caller ends `process`."""
    data.mkdir(parents=True, exist_ok=True)
    port = port or _free_port()
    access_key, secret_key = "suti-test", "suti-test-secret"
    environment = os.environ | {
        "MINIO_ROOT_USER": access_key,
        "MINIO_ROOT_PASSWORD": secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "CI": "true",  # takes a data folder on the root disk
    }
    process = subprocess.Popen(
        [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}", data],
        env=environment,
        stdout=log,
        stderr=log,
    )
    endpoint = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + _START_S
    while not _answers(f"{endpoint}/minio/health/cluster"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait(_STOP_S)
            raise RuntimeError(f"MinIO did not start (exit status {process.returncode}); its words are in {log.name}")
        time.sleep(0.1)
    return MinioServer(endpoint=endpoint, access_key=access_key, secret_key=secret_key, process=process)


def minio_binary() -> Path:
    """The server's executable; skips the test where there is none."""
    if given := os.environ.get("SUTI_MINIO_BIN"):
        return Path(given)
    cached = subprocess.run([_BUILD_SCRIPT, "--cached"], capture_output=True, text=True, check=False)
    if cached.returncode != 0:
        pytest.skip("no MinIO server: run `make servers` (needs Go), or set SUTI_MINIO_BIN")
    return Path(cached.stdout.strip())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - our own loopback address
            return cast("int", answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast("int", probe.getsockname()[1])
