import shutil
import subprocess
from pathlib import Path

import grpc
import pytest

from suti.api.pipeline.v1 import pipeline_pb2
from suti.core.errors import RetryableError
from suti.infra.rpc.errors import error_from_rpc
from suti.infra.rpc.security import ChannelSecurity, ServerSecurity
from tests.unit.infra.rpc.answering import calling, serving


def make_certificate(folder: Path, name: str) -> tuple[bytes, bytes]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with: install it")
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return certificate.read_bytes(), key.read_bytes()


async def echo(run_id: str) -> str:
    return run_id


async def test_both_sides_show_certificates_and_a_stranger_is_not_heard(tmp_path: Path) -> None:
    server_certificate, server_key = make_certificate(tmp_path, "server")
    client_certificate, client_key = make_certificate(tmp_path, "client")
    (tmp_path / "tls.crt").write_bytes(server_certificate)
    (tmp_path / "tls.key").write_bytes(server_key)
    (tmp_path / "ca.crt").write_bytes(client_certificate)
    security = ServerSecurity.read(
        certificate=tmp_path / "tls.crt",
        key=tmp_path / "tls.key",
        client_ca=tmp_path / "ca.crt",
        tokens="",
        allow_plaintext=False,
    )
    known = ChannelSecurity(ca=server_certificate, certificate=client_certificate, key=client_key)
    stranger = ChannelSecurity(ca=server_certificate)

    async with serving(echo, security=security) as server:
        async with calling(server.address, security=known) as (stub, _):
            assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
        async with calling(server.address, security=stranger, default_deadline_s=2) as (stub, _):
            with pytest.raises(grpc.RpcError) as caught:
                await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))
    assert isinstance(error_from_rpc(caught.value), RetryableError)
