"""A NATS server whose certificate an authority of our own signed."""

from collections.abc import Generator
from pathlib import Path

import pytest

from suti.infra.bus.connection import Bus, BusRefused, BusUnavailable
from tests.servers.certificates import make_certificate
from tests.servers.nats import NatsServer


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path, "nats")


@pytest.fixture
def server(tmp_path: Path, certificate: Path) -> Generator[NatsServer]:
    arguments = ("--tls", "--tlscert", str(certificate), "--tlskey", str(certificate.with_suffix(".key")))
    server = NatsServer(tmp_path / "nats", arguments=arguments)
    server.start()
    yield server
    server.stop()


async def test_the_authority_that_is_named_is_trusted(server: NatsServer, certificate: Path) -> None:
    url = server.url.replace("nats://", "tls://")

    async with await Bus.connect(url, name="test", ca=certificate) as bus:
        await bus.ensure_streams()
        assert bus.connected


async def test_an_unknown_authority_is_not(server: NatsServer) -> None:
    with pytest.raises((BusUnavailable, BusRefused)):
        await Bus.connect(server.url.replace("nats://", "tls://"), name="test", timeout_s=3.0)


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BusRefused, match=r"missing\.crt"):
        await Bus.connect("tls://127.0.0.1:4222", name="test", ca=tmp_path / "missing.crt", timeout_s=3.0)
