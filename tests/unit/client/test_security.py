"""Nothing leaves the machine in plain text unasked, and certificates are checked."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from suti.api.pipeline.v1 import pipeline_pb2_grpc
from suti.client import Options, Suti, Tls
from suti.client.channels import CallInPlaintext
from suti.client.errors import RemoteTrouble
from tests.unit.client.conftest import QUICK, RUN, Backstage, Pipeline


@pytest.mark.parametrize("address", ["10.0.0.1:80", "suti.example:443", "[2001:db8::1]:80"])
def test_plaintext_to_another_machine_is_refused(address: str) -> None:
    with Suti(address) as suti, pytest.raises(CallInPlaintext, match="allow_plaintext"):
        suti.get_run(RUN)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_plaintext_on_loopback_is_allowed(address: str) -> None:
    with Suti(address, options=Options(attempts=1)) as suti, pytest.raises(RemoteTrouble, match="address is right"):
        suti.get_run(RUN)


def test_a_server_is_reached_through_tls_and_only_with_the_right_roots(tmp_path: Path) -> None:
    key, chain = _certificate(tmp_path / "server")
    _, other = _certificate(tmp_path / "other")
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(
        Pipeline(Backstage()),  # pyright: ignore[reportAbstractUsage] - the rest stays unimplemented
        server,
    )
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
    server.start()
    try:
        with Suti(f"localhost:{port}", options=Options(tls=Tls(roots=chain), token="secret")) as suti:
            assert suti.get_run(RUN).run_id == RUN
        untrusting = Options(tls=Tls(roots=other), timeout_s=QUICK.timeout_s, attempts=1)
        with Suti(f"localhost:{port}", options=untrusting) as suti, pytest.raises(RemoteTrouble):
            suti.get_run(RUN)
    finally:
        server.stop(None).wait(5.0)


def _certificate(stem: Path) -> tuple[bytes, bytes]:
    key, chain = stem.with_suffix(".key"), stem.with_suffix(".crt")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "1", *curve, *names, "-keyout", key, "-out", chain],
        check=True,
        capture_output=True,
    )
    return key.read_bytes(), chain.read_bytes()
