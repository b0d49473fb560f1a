"""A store behind TLS whose certificate an authority of one's own signed: trusted where the environment names it."""

import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.servers.certificates import sign
from tests.servers.minio import minio_binary
from tests.servers.nats import free_port

PROGRAM = """
import sys
from suti.infra.store import Store
from suti.infra.store_admin import prepare_bucket
from suti.core.errors import SutiError
url, endpoint = "s3://authority", sys.argv[1]
keys = {"access_key": "suti-test", "secret_key": "suti-test-secret"}
try:
    prepare_bucket(url, endpoint=endpoint, **keys)
    store = Store.open(url, endpoint=endpoint, region="us-east-1", **keys)
    store.put("one", b"1")
    print("read", store.get("one"))
except SutiError as error:
    print(error.reason)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Path]]:
    """A MinIO's address, and its authority."""
    binary, folder = minio_binary(), tmp_path_factory.mktemp("minio-tls")
    authority = sign(folder, ["IP:127.0.0.1"])
    (folder / "certs").mkdir()
    shutil.copy(folder / "tls.crt", folder / "certs" / "public.crt")
    shutil.copy(folder / "tls.key", folder / "certs" / "private.key")
    (folder / "data").mkdir()
    endpoint = f"127.0.0.1:{free_port()}"
    command = [binary, "server", "--quiet", "--certs-dir", folder / "certs", "--address", endpoint, folder / "data"]
    keys = {"MINIO_ROOT_USER": "suti-test", "MINIO_ROOT_PASSWORD": "suti-test-secret", "CI": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log)
    try:
        trusting = ssl.create_default_context(cafile=str(authority))
        deadline = time.monotonic() + 60
        while not _answers(f"https://{endpoint}/minio/health/live", trusting):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"https://{endpoint}", authority
    finally:
        process.kill()
        process.wait(10)


def _answers(url: str, trusting: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5, context=trusting):  # noqa: S310 - our own
            return True
    except urllib.error.URLError:
        return False


def _said(endpoint: str, *, trusted: Path | None) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    told = {"SSL_CERT_FILE": str(trusted), "SSL_CERT_DIR": "/etc/ssl/certs"} if trusted else {}
    command = [sys.executable, "-c", PROGRAM, endpoint]
    done = subprocess.run(command, env={**plain, **told}, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def test_an_authority_in_the_environment_is_trusted_by_all_who_enter_the_store(server: tuple[str, Path]) -> None:
    endpoint, authority = server

    assert _said(endpoint, trusted=authority) == "read b'1'"


@pytest.mark.slow
def test_an_authority_that_nobody_names_is_not_trusted(server: tuple[str, Path]) -> None:
    endpoint, _ = server

    assert _said(endpoint, trusted=None) == "STORE_UNAVAILABLE"
