"""A crawl as img2dataset leaves it: shards of a Parquet table (one row per pair) and a tar of pictures.

The table needs a column that says on which page a picture stood (`page_url`): run img2dataset with
`--save_additional_columns '["page_url"]'`. Output in Parquet, with the pictures' bytes in a column, is read too.
"""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from suti.ml.clusters.crawl_records import CrawlRecord, RecordKind
from suti.ml.clusters.html_pictures import tidy
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.urls import UrlInvalid, canonical
from suti.ml.clusters.warc_frames import ByteSource

PAGE_COLUMNS = ("page_url", "PAGE_URL", "page", "document_url", "referrer")
_URL_COLUMNS = ("url", "URL")
_TEXT_COLUMNS = ("caption", "TEXT", "text", "alt", "alt_text")
_LICENCE_COLUMNS = ("license", "licence", "LICENSE")
_BYTES_COLUMNS = ("jpg", "png", "webp", "jpeg")
_PICTURE_SUFFIXES = frozenset(f".{name}" for name in _BYTES_COLUMNS)
_NEEDED = (*PAGE_COLUMNS, *_URL_COLUMNS, *_TEXT_COLUMNS, *_LICENCE_COLUMNS, "key", "status", "error_message")
_MAX_ROWS = 1_000_000  # img2dataset writes ten thousand; a few bytes of Parquet can say billions
_BATCH_ROWS = 64  # rows with pictures held in memory at once
_BUFFER_BYTES = 1 << 20

type Row = Mapping[str, Any]


def read_shard(
    table: ByteSource, tar: ByteSource | None, *, name: str, recipe: GroupingRecipe
) -> Iterator[CrawlRecord]:
    """Everything that the shard holds: a pair per row, a picture per row that has one. Never raises for content.

    `tar` is None where there is none beside the table. `name` is the table's, for records of what cannot be read.
    """
    urls: dict[str, Row] = {}  # by the name of the picture's file in the tar
    try:
        file = pq.ParquetFile(cast("Any", _Open(table)), buffer_size=_BUFFER_BYTES)
        columns = frozenset(file.schema_arrow.names)
        if file.metadata.num_rows > _MAX_ROWS:
            yield _damage(name, f"{file.metadata.num_rows} rows: write shards of {_MAX_ROWS} rows at most")
            return
        if file.metadata.num_rows and not columns.intersection(PAGE_COLUMNS):
            yield _damage(name, "no column page_url: run img2dataset with --save_additional_columns '[\"page_url\"]'")
            return
        inline = next((column for column in _BYTES_COLUMNS if column in columns), None)
        for row in _rows(file, [column for column in (*_NEEDED, *([inline] if inline else [])) if column in columns]):
            yield _pair(row, recipe)
            if inline is None:
                urls[str(row.get("key"))] = {column: row[column] for column in _URL_COLUMNS if column in columns}
            elif row[inline] is not None:
                yield _picture(row, bytes(row[inline]), recipe)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        yield _damage(name, f"no readable table: {error}")
        return
    if inline is None and tar is not None:
        yield from _tar_pictures(tar, urls, name, recipe)


class _Open:
    """A source as pyarrow wants a file: with an end, a place and an attribute that says that it is open."""

    closed = False

    def __init__(self, source: ByteSource) -> None:
        self._source = cast("Any", source)
        self.read, self.tell, self.seek = self._source.read, self._source.tell, self._source.seek

    def close(self) -> None:
        """Whoever opened the source closes it."""


def _rows(file: pq.ParquetFile, columns: list[str]) -> Iterator[Row]:
    for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False):
        yield from cast("list[Row]", batch.to_pylist())


def _tar_pictures(tar: ByteSource, rows: Mapping[str, Row], name: str, recipe: GroupingRecipe) -> Iterator[CrawlRecord]:
    limit = recipe.max_picture_bytes
    try:
        with tarfile.open(fileobj=cast("Any", tar), mode="r|") as members:
            for member in members:
                path = PurePosixPath(member.name)
                row = rows.get(path.stem)
                if not member.isfile() or path.suffix.lower() not in _PICTURE_SUFFIXES or row is None:
                    continue
                file = members.extractfile(member)
                if file is not None:
                    yield _picture(row, file.read(limit + 1), recipe)
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError) as error:  # headers may nest without end
        yield _damage(name, f"its tar is damaged or cut short: {error}")


def _pair(row: Row, recipe: GroupingRecipe) -> CrawlRecord:
    page, url = _text(row, PAGE_COLUMNS), _text(row, _URL_COLUMNS)
    reason: Drop | None = None
    try:
        page = canonical(page)
    except UrlInvalid:
        page, reason = page[:300], Drop.PAGE_URL_INVALID
    try:
        url = canonical(url)
    except UrlInvalid:
        url, reason = url[:300], reason or Drop.PICTURE_URL_INVALID
    failed = row.get("status") not in (None, "success")
    return CrawlRecord(
        RecordKind.PAIR,
        page_url=page,
        picture_url=url,
        alt_text=tidy(_text(row, _TEXT_COLUMNS), max_chars=recipe.max_alt_chars),
        licence=tidy(_text(row, _LICENCE_COLUMNS), max_chars=500),
        reason=reason or (Drop.PICTURE_MISSING if failed else None),
        detail=_text(row, ("error_message",))[:300] if failed else "",
    )


def _picture(row: Row, content: bytes, recipe: GroupingRecipe) -> CrawlRecord:
    url = _text(row, _URL_COLUMNS)
    reason: Drop | None = None
    try:
        url = canonical(url)
    except UrlInvalid:
        url, reason = url[:300], Drop.PICTURE_URL_INVALID
    if len(content) > recipe.max_picture_bytes:
        reason = reason or Drop.PICTURE_TOO_LARGE
    return CrawlRecord(RecordKind.PICTURE, picture_url=url, source=content if reason is None else None, reason=reason)


def _text(row: Row, columns: Sequence[str]) -> str:
    value = next((row[column] for column in columns if row.get(column) is not None), "")
    return str(value)


def _damage(name: str, detail: str) -> CrawlRecord:
    return CrawlRecord(RecordKind.RECORD, picture_url=name, reason=Drop.CRAWL_RECORD_CORRUPT, detail=detail[:300])
