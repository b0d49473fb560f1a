"""Small crawls written by warcio, and pictures to put into them."""

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

DATE = "2023-06-01T00:00:00Z"


class _Writer(WARCWriter):
    """Warcio's own, but for a temporary file that it never closes."""

    @staticmethod
    def _create_temp_file() -> io.BytesIO:  # pyright: ignore[reportIncompatibleMethodOverride] - it is read and written alike
        return io.BytesIO()


@dataclass(frozen=True)
class Answer:
    """What a web server answered, as a crawler stores it."""

    url: str
    body: bytes
    content_type: str = "image/png"
    status: str = "200 OK"
    date: str = DATE
    headers: tuple[tuple[str, str], ...] = ()


def warc(answers: Iterable[Answer], *, gzip: bool = True) -> bytes:
    """The answers as one WARC file, each record a gzip member."""
    buffer = io.BytesIO()
    writer = _Writer(buffer, gzip=gzip)
    for answer in answers:
        headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers]
        record = writer.create_warc_record(
            answer.url,
            "response",
            payload=io.BytesIO(answer.body),
            http_headers=StatusAndHeaders(answer.status, headers, protocol="HTTP/1.1"),
            warc_headers_dict={"WARC-Date": answer.date},
        )
        writer.write_record(record)
    return buffer.getvalue()


def page(url: str, pictures: Sequence[tuple[str, str]], *, head: str = "") -> Answer:
    """A page with an <img> for each (src, alt)."""
    body = "".join(f'<img src="{src}" alt="{alt}">' for src, alt in pictures)
    html = f"<html><head>{head}</head><body>{body}</body></html>"
    return Answer(url, html.encode(), "text/html; charset=utf-8")


def pattern(seed: int, *, side: int = 32) -> Image.Image:
    """Coloured blocks: pictures of two seeds look nothing alike, also to a perceptual hash."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return buffer.getvalue()


def png(seed: int, *, side: int = 32) -> bytes:
    """A pattern as PNG."""
    return encoded(pattern(seed, side=side))


def declared_png(width: int, height: int) -> bytes:
    """A PNG that says it has this size, and has next to no content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def shop(page_number: int, seeds: Sequence[int]) -> list[Answer]:
    """A page of a shop and its pictures, one per seed."""
    base = f"https://shop.example/{page_number}"
    urls = [f"{base}/{seed}.png" for seed in seeds]
    shown = page(base, [(url, f"thing {seed}") for url, seed in zip(urls, seeds, strict=True)])
    return [shown, *(Answer(url, png(seed)) for url, seed in zip(urls, seeds, strict=True))]
