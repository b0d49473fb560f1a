"""Pages as a WARC file: the HTML and every picture as the answers of a web server, byte for byte repeatable."""

import io
import uuid
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from suti.toyworld.pages import Page


def write_warc(path: Path, pages: Iterable[Page]) -> None:
    """One gzip member per record, in the pages' order, pictures after the page that shows them."""
    with path.open("wb") as file:
        writer: Any = WARCWriter(file, gzip=True)  # warcio has no types
        for page in pages:
            html = page_html(page).encode("utf-8")
            _write(
                writer, page.url, html, status=200, content_type="text/html; charset=utf-8", fetched_at=page.fetched_at
            )
            for picture in page.pictures:
                _write(
                    writer,
                    picture.url,
                    picture.body,
                    status=picture.status,
                    content_type=picture.content_type,
                    fetched_at=page.fetched_at,
                )


def page_html(page: Page) -> str:
    """A page as a shop would serve it. The first picture's address is absolute, the others' relative to the page."""
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(page.title)}</title></head>',
        "<body>",
        f"<h1>{escape(page.title)}</h1>",
    ]
    for index, picture in enumerate(page.pictures):
        source = picture.url if index == 0 else picture.url.removeprefix(page.url)
        lines.append(f'<p><img src="{escape(source)}" alt="{escape(picture.alt_text)}"></p>')
    if page.licence:
        lines.append(f'<p>Pictures: <a rel="license" href="{escape(page.licence)}">licence</a></p>')
    return "\n".join([*lines, "</body></html>", ""])


def _write(writer: Any, url: str, body: bytes, *, status: int, content_type: str, fetched_at: str) -> None:
    headers = StatusAndHeaders(
        f"{status} {HTTPStatus(status).phrase}",
        [("Content-Type", content_type), ("Content-Length", str(len(body)))],
        protocol="HTTP/1.1",
    )
    record = writer.create_warc_record(
        url,
        "response",
        payload=io.BytesIO(body),
        length=len(body),  # or warcio buffers in temporary files that it never closes
        http_headers=headers,
        warc_headers_dict={
            "WARC-Date": fetched_at,
            "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>",
        },
    )
    writer.write_record(record)
