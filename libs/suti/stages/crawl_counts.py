"""How much is in a crawl, counted without reading a single picture. For plans, so a part may stand for the whole."""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from suti.stages.crawls import CrawlMissing, files_of, local_path
from suti.stages.run_spec import CrawlInput

_CHUNK_BYTES = 1 << 20
_OVERLAP_BYTES = 96  # longer than any header line that is looked for
_ENOUGH_BYTES = 256 << 20  # of unpacked WARC; beyond it, what is read stands for the rest
_PAGE = re.compile(rb"\nContent-Type:[ \t]*(?:text/html|application/xhtml)", re.IGNORECASE)
_PICTURE = re.compile(rb"\nContent-Type:[ \t]*image/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CrawlCounts:
    """`pages` is 0 where the crawl does not tell; `known` is false where nothing could be counted."""

    pages: int
    pictures: int
    size_bytes: int
    known: bool = True
    whole: bool = True  # false: extrapolated from the beginning


def count_crawl(crawl: CrawlInput) -> CrawlCounts:
    """Pages and pictures by the headers of a WARC, or the rows of img2dataset's tables.

    Raises:
        CrawlMissing: a file is neither what its name says nor gzip.
    """
    path = local_path(crawl.url)
    if path is None:
        return CrawlCounts(pages=0, pictures=0, size_bytes=0, known=False)
    if crawl.format == "warc":
        return _count_warcs([*files_of(path, (".warc", ".warc.gz"))])
    return _count_tables(path)


def _count_warcs(files: list[Path]) -> CrawlCounts:
    size_bytes = sum(file.stat().st_size for file in files)
    pages = pictures = read_bytes = unpacked = 0
    for file in files:
        for chunk, at in _chunks(file):
            pages += sum(1 for hit in _PAGE.finditer(chunk) if hit.end() > _OVERLAP_BYTES)
            pictures += sum(1 for hit in _PICTURE.finditer(chunk) if hit.end() > _OVERLAP_BYTES)
            unpacked += len(chunk)
            if unpacked >= _ENOUGH_BYTES:
                share = max(1, size_bytes) / max(1, read_bytes + at)
                return CrawlCounts(round(pages * share), round(pictures * share), size_bytes, whole=share <= 1)
        read_bytes += file.stat().st_size
    return CrawlCounts(pages, pictures, size_bytes)


def _chunks(file: Path) -> Iterator[tuple[bytes, int]]:
    """Unpacked bytes, each chunk behind the end of the one before it, and how far into the file it reaches."""
    with file.open("rb") as packed:
        zipped = packed.read(2) == b"\x1f\x8b"
        packed.seek(0)
        stream: Any = gzip.GzipFile(fileobj=packed) if zipped else packed
        tail = b"\n" * _OVERLAP_BYTES
        try:
            while data := stream.read(_CHUNK_BYTES):
                yield tail + data, packed.tell()
                tail = (tail + data)[-_OVERLAP_BYTES:]
        except (EOFError, zlib.error):
            return  # cut short: grouping will tell, what was read counts
        except OSError as error:
            raise CrawlMissing("input.url", f"{file.name} cannot be read ({error}): is it whole?") from error


def _count_tables(path: Path) -> CrawlCounts:
    size_bytes = sum(file.stat().st_size for file in files_of(path, (".parquet", ".tar")))
    pictures = 0
    for file in files_of(path, (".parquet",)):
        try:
            rows: int = pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError) as error:
            raise CrawlMissing("input.url", f"{file.name} is no Parquet table ({error})") from error
        pictures += rows
    return CrawlCounts(pages=0, pictures=pictures, size_bytes=size_bytes)
