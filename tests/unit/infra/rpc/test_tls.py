from pathlib import Path

import grpc
import pytest

from suti.api.pipeline.v1 import pipeline_pb2
from suti.core.errors import RetryableError
from suti.infra.rpc.errors import error_from_rpc
from suti.infra.rpc.security import ChannelSecurity, ServerSecurity
from tests.servers.certificates import make_certificate
from tests.unit.infra.rpc.answering import calling, serving


async def echo(run_id: str) -> str:
    return run_id


async def test_both_sides_show_certificates_and_a_stranger_is_not_heard(tmp_path: Path) -> None:
    server, client = make_certificate(tmp_path, "server"), make_certificate(tmp_path, "client")
    security = ServerSecurity.read(
        certificate=server,
        key=server.with_suffix(".key"),
        client_ca=client,
        tokens="",
        allow_plaintext=False,
    )
    authority = server.read_bytes()
    client_key = client.with_suffix(".key").read_bytes()
    known = ChannelSecurity(ca=authority, certificate=client.read_bytes(), key=client_key)
    stranger = ChannelSecurity(ca=authority)

    async with serving(echo, security=security) as answering:
        async with calling(answering.address, security=known) as (stub, _):
            assert (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
        async with calling(answering.address, security=stranger, default_deadline_s=2) as (stub, _):
            with pytest.raises(grpc.RpcError) as caught:
                await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))
    assert isinstance(error_from_rpc(caught.value), RetryableError)
