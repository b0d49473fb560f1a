import io
import random
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


def test_headers_that_nest_without_end_are_one_damage() -> None:
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 2
    header = long_name.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(tarfile.BLOCKSIZE, b"\0")

    records = _read(_table(ROWS, page_url=PAGES), header * 5_000)

    assert [record.reason for record in records if record.kind is RecordKind.RECORD] == ["CRAWL_RECORD_CORRUPT"]
    assert len(records) == len(ROWS) + 1


def test_a_column_that_nobody_asked_for_is_not_read() -> None:
    noise = [random.Random(seed).randbytes(500_000) for seed in range(3)]
    table = _table(ROWS, page_url=PAGES, exif=noise).getvalue()

    class Counted(io.BytesIO):
        seen = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            Counted.seen += len(data)
            return data

    records = list(read_shard(Counted(table), None, name="00000.parquet", recipe=GroupingRecipe()))

    assert [record.kind for record in records] == [RecordKind.PAIR] * 3
    assert Counted.seen < 200_000


def test_a_small_file_that_says_it_has_a_billion_rows_is_one_damage() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"page_url": pa.nulls(1_000_001, pa.string()), "url": pa.nulls(1_000_001)}), buffer)

    records = _read(io.BytesIO(buffer.getvalue()), None)

    assert [record.reason for record in records] == ["CRAWL_RECORD_CORRUPT"]
    assert "1000000 rows at most" in records[0].detail
