"""Crawls in a real S3 store: the same clusters as from a folder, and a store that fails is no damaged crawl."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from suti.core import ids
from suti.core.bucket_access import BucketAccess
from suti.infra.ledger import Commit, Ledger
from suti.infra.rights import STORE, store_policy
from suti.infra.store import Store, StoreRefused
from suti.infra.store_users import Administrator, KeyPair, make_store_users
from suti.ml.clusters.crawl_records import CrawlAway, CrawlUnreadable
from suti.ml.clusters.recipe import GroupingRecipe
from suti.stages.crawl_buckets import CrawlBuckets
from suti.stages.grouping import run_shard
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from suti.toyworld.crawls import draw_crawl, draw_img2dataset
from tests.servers.minio import MinioServer
from tests.unit.ml.clusters.crawls import shop, warc

BUCKET = "crawled"


@pytest.fixture
def access(minio_server: MinioServer) -> BucketAccess:
    minio_server.new_store(BUCKET)
    return BucketAccess(
        endpoint=minio_server.endpoint,
        region="us-east-1",
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        allow_http=True,
    )


def grouped(url: str, folder: Path, buckets: CrawlBuckets, *, form: str = "warc") -> Commit:
    spec = RunSpec(
        run_id=ids.new_run_id(),
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        created_by="test",
        input=CrawlInput.model_validate({"url": url, "format": form}),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
        grouping=GroupingRecipe(store_side_px=32, shard_clusters=2),
    )
    return run_shard(Ledger(Store.open(f"file://{folder}"), spec.run_id), spec, buckets=buckets)


def contents(commit: Commit) -> list[tuple[str, str]]:
    return [(part.name, part.sha256) for part in commit.parts]


def drawn(form: str, tmp_path: Path) -> Path:
    """A folder with a small crawl."""
    folder, truth = tmp_path / "crawl", tmp_path / "truth.json"
    if form == "warc":
        draw_crawl(folder / "crawl.warc.gz", truth_path=truth, pages=4, seed=3, size_px=32)
    else:
        draw_img2dataset(folder, truth_path=truth, pages=4, seed=3, size_px=32)
    return folder


def upload(store: Store, folder: Path, *, under: str) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.put(f"{under}/{path.relative_to(folder)}", path.read_bytes())


@pytest.mark.parametrize("form", ["warc", "img2dataset"])
def test_a_crawl_in_a_bucket_gives_what_it_gives_from_a_folder(
    form: str, minio_server: MinioServer, access: BucketAccess, tmp_path: Path
) -> None:
    folder = drawn(form, tmp_path)
    upload(minio_server.store(f"s3://{BUCKET}"), folder, under=f"crawls/{form}")
    local = grouped(str(folder), tmp_path / "local", CrawlBuckets(), form=form)
    files = [f"s3://{BUCKET}/crawls/{form}"]
    if form == "warc":
        files.append(f"s3://{BUCKET}/crawls/{form}/crawl.warc.gz")

    for index, url in enumerate(files):
        remote = grouped(url, tmp_path / f"remote-{index}", CrawlBuckets(others=access), form=form)
        assert contents(remote) == contents(local)
        assert remote.counts == local.counts
    assert local.counts["clusters_out"] > 0


def test_the_rights_of_clustering_suffice_for_crawls_in_the_own_bucket(
    minio_server: MinioServer, access: BucketAccess, tmp_path: Path
) -> None:
    admin = Administrator(minio_server.endpoint, minio_server.access_key, minio_server.secret_key)
    make_store_users(f"s3://{BUCKET}/prod", {"clustering": KeyPair("reads-crawls", "secret-secret")}, admin)
    own = BucketAccess(minio_server.endpoint, "us-east-1", "reads-crawls", "secret-secret", allow_http=True)
    buckets = CrawlBuckets(own_bucket=BUCKET, own=own)
    store = minio_server.store(f"s3://{BUCKET}")
    store.put("prod/crawls/day/one.warc.gz", warc(shop(1, [1, 2, 3])))
    store.put("elsewhere/one.warc.gz", warc(shop(1, [1, 2, 3])))
    assert store_policy(STORE["clustering"], bucket=BUCKET, prefix="prod")

    for url in (f"s3://{BUCKET}/prod/crawls/day/one.warc.gz", f"s3://{BUCKET}/prod/crawls/day"):
        assert grouped(url, tmp_path / str(len(url)), buckets).counts["clusters_out"] == 1
    with pytest.raises(StoreRefused):
        grouped(f"s3://{BUCKET}/elsewhere/one.warc.gz", tmp_path / "refused", buckets)


def test_a_folder_without_a_crawl_is_told(access: BucketAccess, tmp_path: Path) -> None:
    with pytest.raises(CrawlUnreadable, match="ends in"):
        grouped(f"s3://{BUCKET}/nothing/here", tmp_path, CrawlBuckets(others=access))


@pytest.mark.parametrize("form", ["warc", "img2dataset"])
def test_a_store_that_fails_while_it_is_read_is_no_damage(
    form: str, minio_server: MinioServer, access: BucketAccess, tmp_path: Path
) -> None:
    """Behind a proxy that goes away once so many bytes went through."""
    folder = drawn(form, tmp_path)
    upload(minio_server.store(f"s3://{BUCKET}"), folder, under=f"cut/{form}")

    with cut_after(minio_server.endpoint, size_bytes=6_000) as endpoint:
        through = BucketAccess(endpoint, access.region, access.access_key, access.secret_key, allow_http=True)
        with pytest.raises(CrawlAway):
            grouped(f"s3://{BUCKET}/cut/{form}", tmp_path / "store", CrawlBuckets(others=through), form=form)


def test_keys_come_from_the_environment_where_none_are_given(minio_server: MinioServer, access: BucketAccess) -> None:
    minio_server.store(f"s3://{BUCKET}").put("ambient/one.warc.gz", b"x")
    program = f"from suti.stages.crawl_buckets import *; print(CrawlBuckets().files('s3://{BUCKET}/ambient'))"
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": minio_server.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": str(access.access_key),
        "AWS_SECRET_ACCESS_KEY": str(access.secret_key),
    }

    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)

    assert told.stdout.strip() == f"['s3://{BUCKET}/ambient/one.warc.gz']"


@contextmanager
def cut_after(endpoint: str, *, size_bytes: int) -> Generator[str]:
    """An address that hands on to the server until so many bytes came back, and then refuses everybody."""
    target = urlsplit(endpoint)
    listener = socket.create_server(("127.0.0.1", 0))
    left, lock = [size_bytes], threading.Lock()

    def hand_on(source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1024):
                if counted:
                    with lock:
                        left[0] -= len(data)
                        if left[0] < 0:
                            break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((target.hostname or "", target.port or 0)) as server:
            answers = threading.Thread(target=hand_on, args=(server, client), kwargs={"counted": True})
            answers.start()
            hand_on(client, server, counted=False)
            answers.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if left[0] < 0:
                    client.close()
                else:
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
