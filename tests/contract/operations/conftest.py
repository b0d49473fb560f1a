"""A bus on a real nats-server of the test's own, and a store in a folder."""

from pathlib import Path

import pytest

from suti.infra.store import Store
from tests.servers.nats import bus, nats_server

__all__ = ["bus", "nats_server"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")
