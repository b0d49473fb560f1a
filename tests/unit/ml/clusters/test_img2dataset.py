import io
import tarfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from suti.ml.clusters.crawl_records import CrawlRecord, RecordKind
from suti.ml.clusters.img2dataset import read_shard
from suti.ml.clusters.recipe import GroupingRecipe
from tests.unit.ml.clusters.crawls import png

ROWS = [
    {"key": "000000000", "url": "https://c.example/a.png", "caption": "a", "status": "success", "error_message": None},
    {"key": "000000001", "url": "https://c.example/b.png", "caption": None, "status": "success", "error_message": None},
    {
        "key": "000000002",
        "url": "https://c.example/c.png",
        "caption": "c",
        "status": "failed_to_download",
        "error_message": "HTTP Error 404",
    },
]


def _table(rows: list[dict[str, Any]], **columns: list[Any]) -> io.BytesIO:
    table = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return io.BytesIO(buffer.getvalue())


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _read(table: io.BytesIO, tar: bytes | None) -> list[CrawlRecord]:
    source = io.BytesIO(tar) if tar is not None else None
    return list(read_shard(table, source, name="00000.parquet", recipe=GroupingRecipe()))


PAGES = ["https://shop.example/1", "https://shop.example/1", "https://shop.example/2"]


def test_a_shard_of_table_and_tar_becomes_pairs_and_pictures() -> None:
    tar = _tar({"000000000.png": png(1), "000000000.txt": b"a", "000000000.json": b"{}", "000000001.jpg": png(2)})

    records = _read(_table(ROWS, page_url=PAGES, LICENSE=["CC0", None, None]), tar)

    pairs = [record for record in records if record.kind is RecordKind.PAIR]
    assert [(pair.page_url, pair.picture_url, pair.alt_text, pair.licence, pair.reason) for pair in pairs] == [
        (PAGES[0], "https://c.example/a.png", "a", "CC0", None),
        (PAGES[1], "https://c.example/b.png", "", "", None),
        (PAGES[2], "https://c.example/c.png", "c", "", "PICTURE_MISSING"),
    ]
    assert pairs[2].detail == "HTTP Error 404"
    pictures = [record for record in records if record.kind is RecordKind.PICTURE]
    assert [(picture.picture_url, picture.source) for picture in pictures] == [
        ("https://c.example/a.png", png(1)),
        ("https://c.example/b.png", png(2)),
    ]


def test_pictures_may_stand_in_the_table_itself() -> None:
    records = _read(_table(ROWS, page_url=PAGES, jpg=[png(1), png(2), None]), None)

    assert [record.source for record in records if record.kind is RecordKind.PICTURE] == [png(1), png(2)]


def test_a_table_without_pages_says_how_to_get_them() -> None:
    records = _read(_table(ROWS), _tar({}))

    assert [record.reason for record in records] == ["CRAWL_RECORD_CORRUPT"]
    assert "save_additional_columns" in records[0].detail


def test_a_table_that_is_none_is_one_damage() -> None:
    assert [record.reason for record in _read(io.BytesIO(b"no parquet"), None)] == ["CRAWL_RECORD_CORRUPT"]


def test_a_tar_that_is_cut_short_keeps_what_came_before() -> None:
    tar = _tar({"000000000.png": png(1), "000000001.png": png(2)})

    records = _read(_table(ROWS, page_url=PAGES), tar[: tar.index(png(2)) + 50])

    assert png(1) in [record.source for record in records]
    assert records[-1].reason == "CRAWL_RECORD_CORRUPT"
