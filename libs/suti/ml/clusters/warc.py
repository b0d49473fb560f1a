"""A WARC file as pages, pairs and pictures. Damage costs the record it is in and nothing else."""

import io
from collections.abc import Iterator
from typing import Any, cast

from warcio.archiveiterator import ArchiveIterator

from suti.ml.clusters.crawl_records import CrawlRecord, RecordKind
from suti.ml.clusters.html_pictures import Page, PagePicture, read_page
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.urls import UrlInvalid, canonical
from suti.ml.clusters.warc_frames import ByteSource, Damage, Frame, frames

_MAX_PAGE_BYTES = 32_000_000
_MAX_PAGE_PICTURES = 10_000
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_HTTP_OK = 200


def read_warc(source: ByteSource, *, name: str, recipe: GroupingRecipe) -> Iterator[CrawlRecord]:
    """Everything that the file holds, in its order. Never raises for content.

    `name` is the file's, for records of what could not be read.
    """
    room = 64 * 1024  # HTTP headers
    for item in frames(source, max_block_bytes=max(recipe.max_picture_bytes, _MAX_PAGE_BYTES) + room):
        place = f"{name}@{item.offset}"
        if isinstance(item, Damage):
            yield _dropped(place, Drop.CRAWL_RECORD_CORRUPT, item.detail)
            continue
        try:
            yield from _record(item, place, recipe)
        except Exception as error:  # noqa: BLE001 - hostile headers make parsers raise anything
            yield _dropped(place, Drop.CRAWL_RECORD_CORRUPT, f"{type(error).__name__}: {error}"[:300])


def _record(frame: Frame, place: str, recipe: GroupingRecipe) -> Iterator[CrawlRecord]:
    # With a length of its own, so that warcio does not take a record whose block was skipped for a broken one.
    records = cast("Iterator[Any]", iter(ArchiveIterator(io.BytesIO(frame.header + frame.block + b"\r\n\r\n"))))
    record = next(records, None)
    if record is None:
        return
    kind = record.rec_type
    if kind == "revisit":
        yield _dropped(place, Drop.CRAWL_RECORD_REVISIT, str(record.rec_headers.get_header("WARC-Target-URI"))[:300])
    if kind not in ("response", "resource"):
        return
    http: Any = record.http_headers
    content_type = (http or record.rec_headers).get_header("Content-Type") or ""
    if http is not None and (status := _status(http)) != _HTTP_OK and not frame.skipped_bytes:
        url = str(record.rec_headers.get_header("WARC-Target-URI"))[:300]
        yield CrawlRecord(
            RecordKind.RECORD, picture_url=place, reason=Drop.HTTP_NOT_OK, detail=url, score=float(status)
        )
        return
    uri = str(record.rec_headers.get_header("WARC-Target-URI") or "").strip("<> ")
    fetched_at = str(record.rec_headers.get_header("WARC-Date") or "")[:40]
    mime, charset = _mime(content_type)
    limit = _MAX_PAGE_BYTES if mime in _PAGE_TYPES else recipe.max_picture_bytes
    content: bytes = b"" if frame.skipped_bytes else record.content_stream().read(limit + 1)
    size = frame.skipped_bytes or len(content)
    if mime in _PAGE_TYPES:
        yield from _page(content, size, uri, charset, recipe)
        return
    yield _picture(content, size, uri, fetched_at, declared=mime.startswith("image/"), recipe=recipe)


def _page(content: bytes, size: int, uri: str, charset: str, recipe: GroupingRecipe) -> Iterator[CrawlRecord]:
    try:
        url = canonical(uri)
    except UrlInvalid:
        yield CrawlRecord(RecordKind.PAGE, page_url=uri[:300], reason=Drop.PAGE_URL_INVALID)
        return
    if size > _MAX_PAGE_BYTES:
        yield CrawlRecord(RecordKind.PAGE, page_url=url, reason=Drop.PAGE_TOO_LARGE, score=float(size))
        return
    page: Page = read_page(content, page_url=url, charset=charset, max_alt_chars=recipe.max_alt_chars)
    if len(page.pictures) > _MAX_PAGE_PICTURES:
        count = float(len(page.pictures))
        yield CrawlRecord(RecordKind.PAGE, page_url=url, reason=Drop.PAGE_TOO_MANY_PICTURES, score=count)
        return
    yield CrawlRecord(RecordKind.PAGE, page_url=url, licence=page.licence)
    for picture in page.pictures:
        yield _pair(url, page.licence, picture)


def _pair(page_url: str, licence: str, picture: PagePicture) -> CrawlRecord:
    reason = None
    if picture.url is None:
        reason = Drop.PICTURE_INLINE if picture.inline else Drop.PICTURE_URL_INVALID
    return CrawlRecord(
        RecordKind.PAIR,
        page_url=page_url,
        picture_url=picture.url or picture.written,
        alt_text=picture.alt_text,
        licence=licence,
        reason=reason,
    )


def _picture(
    content: bytes, size: int, uri: str, fetched_at: str, *, declared: bool, recipe: GroupingRecipe
) -> CrawlRecord:
    try:
        url, reason = canonical(uri), None
    except UrlInvalid:
        url, reason = uri[:300], Drop.PICTURE_URL_INVALID
    if size > recipe.max_picture_bytes and reason is None:
        reason = Drop.PICTURE_TOO_LARGE
    return CrawlRecord(
        RecordKind.PICTURE,
        picture_url=url,
        fetched_at=fetched_at,
        source=content if reason is None else None,
        declared=declared,
        reason=reason,
        score=float(size) if reason is Drop.PICTURE_TOO_LARGE else None,
    )


def _dropped(place: str, reason: Drop, detail: str) -> CrawlRecord:
    return CrawlRecord(RecordKind.RECORD, picture_url=place, reason=reason, detail=detail)


def _status(http: Any) -> int:
    code = str(http.get_statuscode() or "")
    return int(code) if code.isdecimal() else 0


def _mime(content_type: str) -> tuple[str, str]:
    """The media type in lower case, and the charset, empty where it is not stated."""
    mime, *parameters = (part.strip() for part in content_type.split(";"))
    charset = next((part[8:].strip("\"' ") for part in parameters if part.lower().startswith("charset=")), "")
    return mime.lower(), charset
