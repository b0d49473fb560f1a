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


def trusting(authority: Path, *, shown: Path | None = None) -> ChannelSecurity:
    return ChannelSecurity(
        ca=authority.read_bytes(),
        certificate=shown and shown.read_bytes(),
        key=shown and shown.with_suffix(".key").read_bytes(),
    )


async def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never(tmp_path: Path) -> None:
    served = tmp_path / "tls.crt"
    key = served.with_suffix(".key")
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")

    def put(certificate: Path) -> None:
        served.write_bytes(certificate.read_bytes())
        key.write_bytes(certificate.with_suffix(".key").read_bytes())

    put(first)
    security = ServerSecurity.read(certificate=served, key=key, client_ca=None, tokens="", allow_plaintext=False)

    async def answers(authority: Path) -> bool:
        async with calling(answering.address, security=trusting(authority), default_deadline_s=1) as (stub, _):
            try:
                return (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
            except grpc.RpcError:
                return False

    async with serving(echo, security=security) as answering:
        assert (await answers(first), await answers(second)) == (True, False)
        served.write_bytes(second.read_bytes())  # half of the pair: the key is still the first one's
        assert await answers(first)
        key.unlink()
        assert await answers(first)
        put(second)
        assert (await answers(first), await answers(second)) == (False, True)


async def test_an_authority_that_was_renewed_lets_its_clients_in_and_the_old_ones_no_more(tmp_path: Path) -> None:
    server = make_certificate(tmp_path, "server")
    first, second = make_certificate(tmp_path, "first"), make_certificate(tmp_path, "second")
    authority = tmp_path / "ca.crt"
    authority.write_bytes(first.read_bytes())
    security = ServerSecurity.read(
        certificate=server, key=server.with_suffix(".key"), client_ca=authority, tokens="", allow_plaintext=False
    )

    async def let_in(client: Path) -> bool:
        async with calling(answering.address, security=trusting(server, shown=client), default_deadline_s=1) as (
            stub,
            _,
        ):
            try:
                return (await stub.GetRun(pipeline_pb2.GetRunRequest(run_id="R"))).run_id == "R"
            except grpc.RpcError:
                return False

    async with serving(echo, security=security) as answering:
        assert (await let_in(first), await let_in(second)) == (True, False)
        authority.write_bytes(second.read_bytes())
        assert (await let_in(first), await let_in(second)) == (False, True)
