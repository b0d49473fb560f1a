"""What a service's user may do in a real S3 store with the policies of `suti.infra.rights`, and what it may not."""

import asyncio
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.errors import ExitCode
from suti.infra import bootstrap
from suti.infra.bootstrap import BootstrapSettings
from suti.infra.rights import STORE
from suti.infra.store import Store, StoreRefused
from suti.infra.store_users import StoreKeysIncomplete, read_key_pairs
from tests.servers.minio import MinioServer

RUN = "01JD0000000000000000000000"
BUCKET = "rights"


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for user in STORE:
        (folder / f"{user}-access-key").write_text(f"suti-{user}")
        (folder / f"{user}-secret-key").write_text(f"secret-of-{user}")
    return folder


@pytest.fixture(scope="module", autouse=True)
def prepared(minio_server: MinioServer, key_folder: Path) -> None:
    settings = BootstrapSettings(
        store_url=f"s3://{BUCKET}/prod",
        store_endpoint=minio_server.endpoint,
        store_access_key=minio_server.access_key,  # pyright: ignore[reportArgumentType] - pydantic makes it a secret
        store_secret_key=minio_server.secret_key,  # pyright: ignore[reportArgumentType]
        store_users=key_folder,
        streams=False,
        patience_s=10.0,
    )
    asyncio.run(bootstrap.bootstrap(settings))
    asyncio.run(bootstrap.bootstrap(settings))  # safe to repeat


@pytest.fixture
def stores(minio_server: MinioServer) -> dict[str, Store]:
    return {
        user: minio_server.store(f"s3://{BUCKET}/prod", access_key=f"suti-{user}", secret_key=f"secret-of-{user}")
        for user in STORE
    }


def test_a_stage_commits_its_own_shards_and_reads_those_of_others(stores: dict[str, Store]) -> None:
    key = keys.commit(RUN, "captioning", 0)

    assert stores["captioning"].create(key, b"{}")
    assert stores["filtering"].get(key) == b"{}"
    assert [info.key for info in stores["filtering"].list(f"runs/{RUN}/captioning/")] == [key]
    stores["captioning"].delete(key)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ("captioning", keys.commit(RUN, "filtering", 0)),
        ("experts", keys.commit(RUN, "filtering", 0)),
        ("filtering", keys.run_spec(RUN)),
        ("filtering", keys.PROMOTED_MODEL),
        ("generation", keys.commit(RUN, "apprentice", 0)),
        ("pipeline", keys.commit(RUN, "experts", 0)),
        ("experts", keys.job_progress("suti-apprentice", "x") + "0"),
        ("probe", keys.run_spec(RUN)),
    ],
)
def test_nobody_writes_what_is_anothers(stores: dict[str, Store], user: str, key: str) -> None:
    with pytest.raises(StoreRefused):
        stores[user].put(key, b"forged")
    with pytest.raises(StoreRefused):
        stores[user].delete(key)


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ("pipeline", keys.run_spec(RUN)),
        ("pipeline", keys.dead_shard(RUN, "experts", 3)),
        ("clustering", keys.part(RUN, "grouping", 0, "fence", "clusters.parquet")),
        ("selection", keys.commit(RUN, "selection", 0)),
        ("experts", keys.scratch(RUN, "experts", 0, "cluster.tar")),
        ("experts", keys.operation_part("op", "result.bin")),
        ("experts", keys.job_progress("suti-experts", "suti-experts-x-0") + "000000.json"),
        ("filtering", keys.dead_letter("letter")),
        ("apprentice", keys.PROMOTED_MODEL),
        ("apprentice", keys.stopped_shard(RUN, "apprentice", 0)),
        ("generation", keys.subject("s", "00.png")),
        ("generation", keys.request("generation", "4b4b4b4b-0000-4000-8000-000000000000")),
        ("generation", keys.drawn("r", "record.json")),
        ("pipeline", keys.operation("P01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("pipeline", keys.operation_part("P01ARZ3NDEKTSV4RRFFQ69G5FAV", "order.json")),
    ],
)
def test_everybody_writes_what_is_its_own(stores: dict[str, Store], user: str, key: str) -> None:
    stores[user].put(key, b"mine")

    assert stores[user].get(key) == b"mine"


@pytest.mark.parametrize(
    ("owner", "key"),
    [
        ("experts", keys.part(RUN, "experts", 7, "fence", "rows")),
        ("generation", keys.request("generation", "4b4b4b4b-0000-4000-8000-000000000001")),
        ("experts", keys.operation_part("old", "ended")),
    ],
)
def test_the_pipeline_sweeps_what_others_left_but_writes_none_of_it(
    stores: dict[str, Store], owner: str, key: str
) -> None:
    stores[owner].put(key, b"left")

    with pytest.raises(StoreRefused):
        stores["pipeline"].put(key, b"forged")
    assert key in [info.key for info in stores["pipeline"].list(key.rpartition("/")[0] + "/")]
    stores["pipeline"].delete(key)

    assert not stores[owner].exists(key)


def test_the_probe_reads_nothing_but_its_own(stores: dict[str, Store]) -> None:
    stores["pipeline"].put(keys.run_spec(RUN), b"{}")

    with pytest.raises(StoreRefused):
        stores["probe"].get(keys.run_spec(RUN))


def test_two_releases_on_one_server_leave_each_others_users_alone(minio_server: MinioServer, tmp_path: Path) -> None:
    for prefix in ("one", "two"):
        folder = tmp_path / prefix
        folder.mkdir()
        for user in STORE:
            (folder / f"{user}-access-key").write_text(f"{prefix}-{user}")
            (folder / f"{user}-secret-key").write_text(f"{prefix}-secret-of-{user}")
        settings = BootstrapSettings(
            store_url=f"s3://{BUCKET}/{prefix}",
            store_endpoint=minio_server.endpoint,
            store_access_key=minio_server.access_key,  # pyright: ignore[reportArgumentType]
            store_secret_key=minio_server.secret_key,  # pyright: ignore[reportArgumentType]
            store_users=folder,
            store_user_prefix=prefix,
            streams=False,
            patience_s=10.0,
        )
        asyncio.run(bootstrap.bootstrap(settings))

    def store(prefix: str, place: str) -> Store:
        keys_of = {"access_key": f"{prefix}-pipeline", "secret_key": f"{prefix}-secret-of-pipeline"}
        return minio_server.store(f"s3://{BUCKET}/{place}", **keys_of)

    for mine, others in (("one", "two"), ("two", "one")):
        store(mine, mine).put(keys.run_spec(RUN), b"{}")
        with pytest.raises(StoreRefused):
            store(mine, others).put(keys.run_spec(RUN), b"{}")


def test_half_a_pair_of_keys_is_named(tmp_path: Path) -> None:
    (tmp_path / "pipeline-access-key").write_text("x")

    with pytest.raises(StoreKeysIncomplete, match="apprentice") as caught:
        read_key_pairs(tmp_path)
    assert caught.value.exit_code == ExitCode.BAD_CONFIGURATION
