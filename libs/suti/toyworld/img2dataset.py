"""Pages as img2dataset leaves them: per shard a Parquet table of pairs and a tar with the pictures that were fetched.

Columns as img2dataset names them (`url`, `caption`, `key`, `status`, `error_message`, `width`, `height`, `sha256`),
and beside them the two that LAION-style sets with pages carry: `page_url`, `licence`.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from itertools import batched, count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from suti.toyworld.pages import Page, PagePicture

_COLUMNS = pa.schema(
    [
        ("page_url", pa.string()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("licence", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)


def write_img2dataset(folder: Path, pages: Iterable[Page], *, pairs_per_shard: int = 256) -> None:
    """`00000.parquet`, `00000.tar`, `00000_stats.json`, and so on. What was not fetched has a row and no file."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = ((page, picture) for page in pages for picture in page.pictures)
    for shard, some in enumerate(batched(pairs, pairs_per_shard)):
        rows: list[dict[str, Any]] = []
        with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.GNU_FORMAT) as tar:
            for page, picture, key in _keyed(some, shard):
                row = _row(page, picture, key)
                rows.append(row)
                if row["status"] == "success":
                    _add(tar, f"{key}.{picture.url.rpartition('.')[2]}", picture.body)
                    _add(tar, f"{key}.txt", picture.alt_text.encode("utf-8"))
                    _add(tar, f"{key}.json", json.dumps(row, sort_keys=True).encode("utf-8"))
        pq.write_table(pa.Table.from_pylist(rows, schema=_COLUMNS), folder / f"{shard:05d}.parquet")
        fetched = sum(row["status"] == "success" for row in rows)
        stats = {"count": len(rows), "successes": fetched, "failed_to_download": len(rows) - fetched}
        (folder / f"{shard:05d}_stats.json").write_text(json.dumps(stats) + "\n", encoding="utf-8")


def _keyed(some: Iterable[tuple[Page, PagePicture]], shard: int) -> Iterator[tuple[Page, PagePicture, str]]:
    for index, (page, picture) in zip(count(), some, strict=False):
        yield page, picture, f"{shard:05d}{index:04d}"


def _row(page: Page, picture: PagePicture, key: str) -> dict[str, Any]:
    width, height = _size(picture.body)
    return {
        "page_url": page.url,
        "url": picture.url,
        "caption": picture.alt_text,
        "licence": page.licence,
        "key": key,
        "status": "success" if picture.status == 200 else "failed_to_download",
        "error_message": None if picture.status == 200 else f"HTTP Error {picture.status}",
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(picture.body).hexdigest() if picture.status == 200 else None,
    }


def _size(body: bytes) -> tuple[int | None, int | None]:
    try:
        with Image.open(io.BytesIO(body)) as image:
            return image.size
    except OSError:
        return None, None


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(body)
    tar.addfile(header, io.BytesIO(body))
