"""Preparing a bucket adds our rule of expiry to those that its owner gave it, on a real server."""

import base64
import hashlib
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from suti.infra.store_admin import prepare_bucket
from tests.servers.minio import MinioServer


@pytest.fixture
def client(minio_server: MinioServer) -> Minio:
    return Minio(
        minio_server.endpoint.removeprefix("http://"),
        access_key=minio_server.access_key,
        secret_key=minio_server.secret_key,
        secure=False,
    )


def _prepare(server: MinioServer, url: str) -> None:
    prepare_bucket(url, endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key)


def _set(client: Minio, bucket: str, rules: str) -> None:
    body = f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>".encode()
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"Content-MD5": digest}
    cast("Any", client)._execute("PUT", bucket, body=body, headers=headers, query_params={"lifecycle": ""})


def _told(client: Minio, bucket: str) -> dict[str, str]:
    """The server's own words for each rule, by id."""
    answer = cast("Any", client)._execute("GET", bucket, query_params={"lifecycle": ""})
    root = ElementTree.fromstring(answer.data)  # noqa: S314 - of our own server
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return {rule.findtext("ID", ""): ElementTree.tostring(rule, "unicode") for rule in root.findall("Rule")}


def test_rules_of_the_buckets_owner_stay_when_it_is_prepared_again_and_again(
    minio_server: MinioServer, client: Minio
) -> None:
    client.make_bucket("owned")
    _set(
        client,
        "owned",
        "<Rule><ID>logs</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter>"
        "<Expiration><Days>30</Days></Expiration></Rule>"
        # A limit of size, which the client's classes forget: without it everything below big/ would go.
        "<Rule><ID>big</ID><Status>Enabled</Status><Filter><And><Prefix>big/</Prefix>"
        "<ObjectSizeGreaterThan>1000000</ObjectSizeGreaterThan></And></Filter>"
        "<Expiration><Days>7</Days></Expiration></Rule>"
        "<Rule><ID>old</ID><Status>Disabled</Status><Filter></Filter>"
        "<NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays></NoncurrentVersionExpiration></Rule>",
    )
    before = _told(client, "owned")
    assert "1000000" in before["big"]

    _prepare(minio_server, "s3://owned/here")
    _prepare(minio_server, "s3://owned/here")

    after = _told(client, "owned")
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"suti-here/requests"}


def test_releases_that_share_a_bucket_have_a_rule_each(minio_server: MinioServer, client: Minio) -> None:
    _prepare(minio_server, "s3://shared-by-two/one")
    _prepare(minio_server, "s3://shared-by-two/two")

    config = client.get_bucket_lifecycle("shared-by-two")

    assert config is not None
    places = {
        rule.rule_filter.prefix: rule.expiration.days for rule in config.rules if rule.rule_filter and rule.expiration
    }
    assert places == {"one/requests/": 2, "two/requests/": 2}


def test_the_rule_that_the_version_before_made_is_replaced_and_not_doubled(
    minio_server: MinioServer, client: Minio
) -> None:
    client.make_bucket("upgraded")
    before = Rule(
        ENABLED, rule_filter=Filter(prefix="prod/requests/"), rule_id="suti-requests", expiration=Expiration(days=2)
    )
    client.set_bucket_lifecycle("upgraded", LifecycleConfig([before]))

    _prepare(minio_server, "s3://upgraded/prod")

    assert set(_told(client, "upgraded")) == {"suti-prod/requests"}
