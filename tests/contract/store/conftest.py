"""The stores that keep the same contract: a local folder and a real MinIO server."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from suti.infra.store import Store
from tests.servers.minio import MinioServer


@dataclass(frozen=True)
class OpenArgs:
    """What a process of its own needs to open the same store: `Store.open(url, **keywords)`."""

    url: str
    keywords: dict[str, str | bool]

    def open(self) -> Store:
        return Store.open(self.url, **self.keywords)  # pyright: ignore[reportArgumentType] - plain data for a process


@pytest.fixture(params=["folder", "minio"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> OpenArgs:
    """A fresh, empty store of either kind."""
    if request.param == "folder":
        return OpenArgs(f"file://{tmp_path}/store", {})
    server: MinioServer = request.getfixturevalue("minio_server")
    prefix = uuid4().hex
    server.new_store("contract", prefix=prefix)
    return OpenArgs(
        f"s3://contract/{prefix}",
        {
            "endpoint": server.endpoint,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "region": "us-east-1",
            "allow_http": True,
        },
    )


@pytest.fixture
def store(opening: OpenArgs) -> Store:
    return opening.open()


@pytest.fixture
def open_again(opening: OpenArgs) -> Callable[[], Store]:
    """Opens the same store once more, as another worker would."""
    return opening.open
