import os
import random
import tarfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from suti.core import ids
from suti.core.records import DropRow, PictureRow, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.pictures import read_picture
from suti.infra.store import Store
from suti.infra.tables import from_parquet
from suti.infra.tombstones import Tombstone, add_tombstone
from suti.ml.clusters.crawl_records import CrawlUnreadable
from suti.ml.clusters.recipe import GroupingRecipe
from suti.stages.grouping import CrawlChanged, run_shard
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from suti.stages.shard_pictures import ShardPictures
from tests.unit.ml.clusters.crawls import Answer, declared_png, encoded, page, pattern, png, shop, warc

REAL_CRAWL = Path(os.environ.get("SUTI_TEST_CRAWL") or Path(__file__).parents[4] / "shared" / "data" / "crawl.warc.gz")
RECIPE = GroupingRecipe(store_side_px=64, shard_clusters=2)


def _spec(crawl: Path, recipe: GroupingRecipe = RECIPE, sha256: str = "") -> RunSpec:
    return RunSpec(
        run_id=ids.new_run_id(),
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        created_by="test",
        input=CrawlInput(url=str(crawl), format="warc", sha256=sha256),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
        grouping=recipe,
    )


def _open(folder: Path, spec: RunSpec) -> Ledger:
    return Ledger(Store.open(f"file://{folder}"), spec.run_id)


def _written(path: Path, answers: Sequence[Answer]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(warc(answers))
    return path


def _rows(ledger: Ledger, commit: Commit) -> list[PictureRow]:
    parts = [part for part in commit.parts if part.name.startswith("clusters-")]
    return [row for part in parts for row in from_parquet(ledger.read(part), PictureRow)]


def _drops(ledger: Ledger, commit: Commit) -> list[DropRow]:
    return from_parquet(ledger.read(commit.part("drops.parquet")), DropRow)


def _hostile() -> list[Answer]:
    """Three good pictures on one page among everything that goes wrong on the web; a second page is good alone."""
    base = "https://bad.example"
    still, moving = Image.new("RGB", (24, 24), (9, 9, 9)), pattern(30)
    cmyk = encoded(pattern(31).convert("CMYK"), "JPEG")
    grey = encoded(pattern(32).convert("L").convert("I;16"))
    bodies: dict[str, tuple[bytes, str]] = {
        "good.png": (png(33), "image/png"),
        "moving.gif": (encoded(moving, "GIF", save_all=True, append_images=[still]), "image/gif"),
        "cmyk.jpg": (cmyk, "image/jpeg"),
        "grey16.png": (grey, "image/png"),
        "text.jpg": (b"a text named .jpg", "text/plain"),
        "empty.png": (b"", "image/png"),
        "cut.png": (png(34)[:150], "image/png"),
        "tiny.png": (png(35, side=4), "image/png"),
        "bomb.png": (declared_png(50_000, 50_000), "image/png"),
        "same.png": (png(33), "image/png"),
    }
    shown = [(f"{base}/{name}", name) for name in bodies]
    html = page(base, [*shown, (f"{base}/missing.png", ""), ("data:image/png;base64,AA", "x")]).body
    html += b'<img src="/good.png#again" alt="\xff\xfe">' + b'<img src="/grey16.png" alt="' + b"x" * 2_000_000 + b'">'
    pictures = [Answer(f"{base}/{name}", body, kind) for name, (body, kind) in bodies.items()]
    orphan = Answer(f"{base}/orphan.png", png(36))
    return [Answer(base, html, "text/html"), *pictures, orphan, *shop(1, [1, 2, 3]), *shop(2, [4, 5])]


def test_everything_that_goes_wrong_on_the_web_is_a_recorded_drop_and_the_rest_goes_on(tmp_path: Path) -> None:
    spec = _spec(_written(tmp_path / "crawl.warc.gz", _hostile()))
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    rows, drops = _rows(ledger, commit), _drops(ledger, commit)
    by_page = Counter(row.page_url for row in rows)
    assert by_page == {"https://bad.example/": 4, "https://shop.example/1": 3}
    assert Counter(row.reason for row in drops if row.kind == "pair") == {
        "DUPLICATE_EXACT": 3,  # same.png, good.png again, grey16.png again
        "PICTURE_NOT_A_PICTURE": 1,
        "PICTURE_EMPTY": 1,
        "PICTURE_UNREADABLE": 1,
        "PICTURE_TOO_SMALL": 1,
        "PICTURE_BOMB": 1,
        "PICTURE_MISSING": 1,
        "PICTURE_INLINE": 1,
        "PAGE_TOO_FEW_PICTURES": 2,
    }
    assert [(row.id, row.score) for row in drops if row.kind == "page"] == [("https://shop.example/2", 2.0)]
    assert "PICTURE_NOT_SHOWN" in {row.reason for row in drops if row.kind == "picture"}
    assert commit.counts["items_in"] == 19 == commit.counts["items_out"] + commit.counts["dropped"]
    assert (commit.counts["pages_in"], commit.counts["pages_out"]) == (3, 2)
    assert max(len(row.alt_text) for row in rows) <= spec.grouping.max_alt_chars


def test_each_picture_lies_where_its_row_says(tmp_path: Path) -> None:
    crawl = [*shop(1, [1, 2, 3]), *shop(2, [4, 5, 6]), *shop(3, [7, 8, 9]), *shop(4, [1, 2, 10])]
    spec = _spec(_written(tmp_path / "crawl.warc.gz", crawl))
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    rows = _rows(ledger, commit)
    assert commit.counts["shards"] == 2
    assert commit.counts["clusters_out"] == 4
    assert [row.cluster_id for row in rows] == sorted(row.cluster_id for row in rows)
    assert {row.part for row in rows} == {"pictures-000000.tar", "pictures-000001.tar"}
    pictures = ShardPictures(ledger, commit)
    for row in rows:
        seed = int(row.alt_text.removeprefix("thing "))
        assert row.picture_id == ids.picture_id(png(seed))
        assert pictures.open(row).tobytes() == pattern(seed).tobytes()
    for cluster in {row.cluster_id for row in rows}:
        mine = [row for row in rows if row.cluster_id == cluster]
        assert cluster == ids.cluster_id(mine[0].page_url, [row.picture_id for row in mine])
    tar = ledger.read(commit.part("pictures-000000.tar"))
    first = next(row for row in rows if row.part == "pictures-000000.tar")
    assert read_picture(tar, first.offset, first.size_bytes).startswith(b"\x89PNG")
    with tarfile.open(fileobj=BytesIO(tar)) as opened:
        assert set(opened.getnames()) == {f"{row.picture_id}.png" for row in rows if row.part == first.part}


def test_the_order_of_records_and_their_cut_into_files_decide_nothing(tmp_path: Path) -> None:
    crawl = [*_hostile(), *shop(3, [7, 8, 9]), *shop(4, [1, 2, 3]), *shop(3, [7, 8, 9])]
    shuffled = random.Random(0).sample(crawl, len(crawl))
    _written(tmp_path / "one" / "crawl.warc.gz", crawl)
    for index in range(3):
        _written(tmp_path / "many" / f"{index}.warc.gz", shuffled[index::3])
    commits: list[Commit] = []

    for name in ("one", "many"):
        spec = _spec(tmp_path / name)
        commits.append(run_shard(_open(tmp_path / f"store-{name}", spec), spec))

    assert [(part.name, part.sha256) for part in commits[0].parts] == [
        (part.name, part.sha256) for part in commits[1].parts
    ]
    assert commits[0].counts == commits[1].counts


def test_a_crawl_without_a_usable_page_makes_no_shard(tmp_path: Path) -> None:
    spec = _spec(_written(tmp_path / "crawl.warc.gz", [*shop(1, [1, 2]), *shop(2, [3])]))
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    assert (commit.counts["shards"], commit.counts["items_in"], commit.counts["dropped"]) == (0, 3, 3)
    assert [part.name for part in commit.parts] == ["drops.parquet"]


def test_a_crawl_with_nothing_of_interest_makes_no_shard(tmp_path: Path) -> None:
    spec = _spec(_written(tmp_path / "crawl.warc.gz", [Answer("https://a.example/x.css", b"p {}", "text/css")]))
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    assert (commit.counts["shards"], commit.counts["items_in"], commit.counts["pages_in"]) == (0, 0, 0)
    assert _drops(ledger, commit) == []


def test_a_shard_of_img2dataset_is_grouped_alike(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    rows = [
        {"key": f"{seed:09d}", "url": f"https://c.example/{seed}.png", "caption": f"thing {seed}", "page_url": url}
        for url, seeds in (("https://shop.example/1", (1, 2, 3)), ("https://shop.example/2", (4, 5)))
        for seed in seeds
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "00000.parquet")
    with tarfile.open(folder / "00000.tar", mode="w") as tar:
        for row in rows:
            info = tarfile.TarInfo(f"{row['key']}.png")
            data = png(int(row["key"]))
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    spec = _spec(folder)
    spec = spec.model_copy(update={"input": CrawlInput(url=f"file://{folder}", format="img2dataset")})
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    assert [row.alt_text for row in sorted(_rows(ledger, commit), key=lambda row: row.alt_text)] == [
        "thing 1",
        "thing 2",
        "thing 3",
    ]
    assert commit.counts["page_too_few_pictures"] == 2


def test_what_is_buried_never_becomes_part_of_a_cluster(tmp_path: Path) -> None:
    spec = _spec(
        _written(tmp_path / "crawl.warc.gz", [*shop(1, [1, 2, 3, 4]), *shop(2, [5, 6, 7]), *shop(3, [1, 8, 9])])
    )
    ledger = _open(tmp_path / "store", spec)
    add_tombstone(ledger.store, Tombstone.of(urls=["HTTPS://shop.example/2#x"], picture_ids=[ids.picture_id(png(1))]))

    commit = run_shard(ledger, spec)

    assert {row.alt_text for row in _rows(ledger, commit)} == {"thing 2", "thing 3", "thing 4"}
    buried = Counter((row.kind, row.page_url) for row in _drops(ledger, commit) if row.reason == "TOMBSTONED")
    assert buried == {
        ("page", "https://shop.example/2"): 1,
        ("pair", "https://shop.example/1"): 1,
        ("pair", "https://shop.example/2"): 3,
        ("pair", "https://shop.example/3"): 1,
    }


def test_a_truncated_crawl_gives_what_came_before_the_cut(tmp_path: Path) -> None:
    whole = warc([*shop(1, [1, 2, 3]), *shop(2, [4, 5, 6])])
    (tmp_path / "crawl.warc.gz").write_bytes(whole[:-40])
    spec = _spec(tmp_path / "crawl.warc.gz")
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    assert commit.counts["records_corrupt"] == 1
    assert {row.page_url for row in _rows(ledger, commit)} == {"https://shop.example/1"}
    assert commit.counts["picture_missing"] == 1


@pytest.mark.parametrize("content", [None, b"", b"this is no crawl\n" * 100])
def test_an_input_that_is_no_crawl_is_refused_with_the_remedy(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "crawl.warc.gz"
    if content is not None:
        path.write_bytes(content)
    spec = _spec(path)

    with pytest.raises(CrawlUnreadable, match="crawl"):
        run_shard(_open(tmp_path / "store", spec), spec)


def test_a_crawl_that_changed_since_the_run_was_created_is_refused(tmp_path: Path) -> None:
    spec = _spec(_written(tmp_path / "crawl.warc.gz", shop(1, [1])), sha256="0" * 64)

    with pytest.raises(CrawlChanged, match="create a new run"):
        run_shard(_open(tmp_path / "store", spec), spec)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_CRAWL.is_file(), reason="no real crawl: set SUTI_TEST_CRAWL to a WARC file")
def test_every_page_and_picture_of_a_real_crawl_is_accounted_for(tmp_path: Path) -> None:
    spec = _spec(REAL_CRAWL)
    ledger = _open(tmp_path / "store", spec)

    commit = run_shard(ledger, spec)

    rows, drops, counts = _rows(ledger, commit), _drops(ledger, commit), commit.counts
    pages = {row.page_url for row in rows} | {row.id for row in drops if row.kind == "page"}
    assert len(pages) == counts["pages_in"]
    assert counts["pages_out"] > 0
    assert counts["items_in"] == len(rows) + sum(row.kind == "pair" for row in drops)
    read = {row.picture_id for row in rows} | {row.id for row in drops if row.kind in ("pair", "picture")}
    assert len(read) >= counts["pictures_in"]
    assert ledger.get(Stage.GROUPING, 0) == commit
