"""A store that cannot be used says why, and what to do about it."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from minio import Minio  # the independent reader of the expiry rules

from suti.core.errors import BadConfiguration, RetryableError
from suti.infra.store import BadStoreUrl, BucketMissing, Store, StoreRefused, StoreUnavailable
from suti.infra.store_admin import prepare_bucket
from tests.servers.minio import MinioServer

STRANGER = "a-secret-of-nobody"


def test_a_wrong_secret_is_a_configuration_error_not_a_retry(minio_server: MinioServer) -> None:
    minio_server.new_store("refusals")
    stranger = minio_server.store("s3://refusals/", secret_key=STRANGER)

    for call in calls_of(stranger):
        with pytest.raises(StoreRefused, match="check its keys") as refused:
            call("runs/a")
        assert isinstance(refused.value, BadConfiguration)


def test_a_missing_bucket_is_told_apart_from_a_missing_object(minio_server: MinioServer) -> None:
    store = minio_server.store("s3://nobody-made-this/")

    for call in calls_of(store):
        with pytest.raises(BucketMissing, match="has no such bucket"):
            call("runs/a")


def test_a_store_that_nobody_serves_is_a_retry(unused_port: int) -> None:
    store = Store.open(
        "s3://bucket/",
        endpoint=f"http://127.0.0.1:{unused_port}",
        access_key="a",
        secret_key=STRANGER,
        region="us-east-1",
        allow_http=True,
    )

    with pytest.raises(StoreUnavailable, match="check that the store runs") as failed:
        store.get("runs/a")
    assert isinstance(failed.value, RetryableError)


def test_plain_http_is_refused_unless_it_is_allowed(minio_server: MinioServer) -> None:
    store = Store.open(
        "s3://refusals/",
        endpoint=minio_server.endpoint,
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        region="us-east-1",
    )

    with pytest.raises(StoreUnavailable):
        store.get("runs/a")


@pytest.mark.parametrize(
    "url", ["", "/srv/x", "file://relative/x", "file:", "s3://", "gs://bucket/x", "https://host/x"]
)
def test_an_address_that_is_no_store_is_refused_when_it_is_opened(url: str) -> None:
    with pytest.raises(BadStoreUrl, match=r"file:///"):
        Store.open(url)


def test_a_folder_that_cannot_be_made_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(BadStoreUrl, match="give one that may be written"):
        Store.open(f"file://{tmp_path}/file/store")


def test_a_folder_with_a_space_in_its_name_is_opened_by_its_url(tmp_path: Path) -> None:
    Store.open(f"file://{tmp_path}/my%20store").put("a", b"1")

    assert (tmp_path / "my store" / "a").read_bytes() == b"1"


def test_preparing_a_bucket_twice_makes_it_once(minio_server: MinioServer) -> None:
    def prepare() -> bool:
        return prepare_bucket(
            "s3://prepared/here",
            endpoint=minio_server.endpoint,
            access_key=minio_server.access_key,
            secret_key=minio_server.secret_key,
        )

    assert [prepare(), prepare()] == [True, False]


def test_preparing_a_bucket_without_a_server_or_with_wrong_keys_says_so(
    minio_server: MinioServer, unused_port: int
) -> None:
    with pytest.raises(StoreUnavailable, match="check that the server runs"):
        prepare_bucket("s3://bbb/", endpoint=f"http://127.0.0.1:{unused_port}", access_key="a", secret_key=STRANGER)
    with pytest.raises(StoreRefused, match="check the admin keys"):
        prepare_bucket("s3://bbb/", endpoint=minio_server.endpoint, access_key="stranger", secret_key=STRANGER)
    with pytest.raises(BadStoreUrl, match="has a bucket"):
        prepare_bucket("file:///x", endpoint=minio_server.endpoint, access_key="a", secret_key=STRANGER)
    with pytest.raises(BadStoreUrl, match="http://host:port"):
        prepare_bucket("s3://bbb/", endpoint="127.0.0.1:9000", access_key="a", secret_key=STRANGER)


def test_the_server_itself_expires_answers_to_requests_and_nothing_else(minio_server: MinioServer) -> None:
    minio_server.new_store("expiring", prefix="suti")
    client = Minio(
        minio_server.endpoint.removeprefix("http://"),
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        secure=False,
    )

    config = client.get_bucket_lifecycle("expiring")

    assert config is not None
    expired = {
        rule.rule_filter.prefix: rule.expiration.days for rule in config.rules if rule.rule_filter and rule.expiration
    }
    assert expired == {"suti/requests/": 2}


def calls_of(store: Store) -> list[Callable[[str], object]]:
    return [store.get, lambda key: store.put(key, b""), lambda key: list(store.list(key))]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
