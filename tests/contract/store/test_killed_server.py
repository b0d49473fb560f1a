"""The server dies and comes back: calls fail as retryable, what was acknowledged is still there."""

from pathlib import Path

import pytest

from suti.infra.ledger import Ledger
from suti.infra.store import StoreUnavailable
from tests.servers.minio import MinioServer, minio_binary, start_minio


def test_a_commit_outlives_a_killed_server_and_the_same_store_goes_on(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        server = start_minio(minio_binary(), data=tmp_path / "data", log=log)
        try:
            store = server.new_store("killed")
            ledger = Ledger(store, "run")
            draft = ledger.draft("experts", 0)
            draft.write("rows", b"acknowledged")
            commit = draft.commit(counts={}, seconds=0.0)
            kill(server)

            with pytest.raises(StoreUnavailable, match="safe to repeat"):
                ledger.find("experts", 0)
            with pytest.raises(StoreUnavailable):
                ledger.draft("experts", 1).write("rows", b"lost")

            port = int(server.endpoint.rsplit(":", 1)[1])
            server = start_minio(minio_binary(), data=tmp_path / "data", log=log, port=port)

            assert ledger.get("experts", 0) == commit
            assert ledger.read(commit.part("rows")) == b"acknowledged"
            assert not ledger.is_committed("experts", 1)
            later = ledger.draft("experts", 0)
            later.commit(counts={}, seconds=0.0)
            assert not later.won
        finally:
            kill(server)


def kill(server: MinioServer) -> None:
    server.process.kill()
    server.process.wait(10)
