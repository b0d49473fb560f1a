"""A bus on a real nats-server of the test's own, and a store in a folder."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from suti.infra.bus.connection import Bus
from suti.infra.store import Store
from tests.servers.nats import NatsServer, nats_server

__all__ = ["nats_server"]


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncGenerator[Bus]:
    async with await Bus.connect(nats_server.url, name="test") as connected:
        await connected.ensure_streams()
        yield connected


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")
