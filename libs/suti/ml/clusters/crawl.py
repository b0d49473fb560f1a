"""A crawl as a Daft table: files in, one row per page, pair and picture out, pictures decoded.

Every step is a function of one row, so any number of machines may share the files.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from suti.core import ids
from suti.ml.clusters.crawl_records import CrawlRecord, CrawlUnreadable
from suti.ml.clusters.decode import PictureRefused, decode
from suti.ml.clusters.engine import daft
from suti.ml.clusters.img2dataset import read_shard
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.warc import read_warc
from suti.ml.clusters.warc_frames import ByteSource

type CrawlFormat = Literal["warc", "img2dataset"]

_SUFFIXES: dict[CrawlFormat, tuple[str, ...]] = {"warc": (".warc", ".warc.gz"), "img2dataset": (".parquet",)}

_TYPE = daft.DataType
_RECORD = _TYPE.struct(
    {
        "kind": _TYPE.string(),
        "page_url": _TYPE.string(),
        "picture_url": _TYPE.string(),
        "alt_text": _TYPE.string(),
        "licence": _TYPE.string(),
        "fetched_at": _TYPE.string(),
        "source": _TYPE.binary(),
        "declared": _TYPE.bool(),
        "reason": _TYPE.string(),
        "detail": _TYPE.string(),
        "score": _TYPE.float64(),
    }
)
_DECODED = _TYPE.struct(
    {
        "picture_id": _TYPE.string(),
        "phash": _TYPE.uint64(),
        "width_px": _TYPE.int64(),
        "height_px": _TYPE.int64(),
        "pixels_sha256": _TYPE.string(),
        "png": _TYPE.binary(),
        "decoded_reason": _TYPE.string(),
        "decoded_detail": _TYPE.string(),
        "decoded_score": _TYPE.float64(),
    }
)


def crawl_files(url: str, crawl_format: CrawlFormat) -> list[str]:
    """The crawl's files, sorted: one file as it is, of a folder those of the format, at any depth.

    Raises:
        CrawlUnreadable: there is no such file or folder, or none of the format in it.
    """
    if url.startswith("s3://"):
        return _remote_files(url, crawl_format)
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else Path(url)
    if path.is_file():
        table = path.with_suffix(".parquet")  # of a shard that is named by its tar
        named_by_tar = crawl_format == "img2dataset" and path.suffix.lower() == ".tar" and table.is_file()
        return [str((table if named_by_tar else path).absolute())]
    suffixes = _SUFFIXES[crawl_format]
    found = sorted(
        str(file.absolute()) for file in path.rglob("*") if file.name.lower().endswith(suffixes) and file.is_file()
    )
    if not found:
        raise _nothing(url, crawl_format)
    return found


def read_crawl(files: list[str], crawl_format: CrawlFormat, recipe: GroupingRecipe) -> "daft.DataFrame":
    """Everything in the files, lazily: the columns of CrawlRecord without `source`, and of DecodedPicture.

    A picture that cannot be used has its `reason`, and no pixels.
    """
    col = daft.col
    if crawl_format == "warc":
        table = daft.from_pydict({"path": files})
        record = _warc_reader(recipe)(daft.functions.file(col("path")), col("path"))
    else:
        tars = [_tar_beside(file, files) for file in files]
        table = daft.from_pydict({"path": files, "tar": tars})
        record = _shard_reader(recipe)(daft.functions.file(col("path")), col("path"), col("tar"))
    records = table.select(record.alias("record")).select(daft.functions.unnest(col("record")))
    decoded = records.with_column("decoded", _decoder(recipe)(col("source")))
    return (
        decoded.select(*[col(name) for name in records.column_names], daft.functions.unnest(col("decoded")))
        .with_columns(
            {
                "reason": daft.functions.coalesce(col("reason"), col("decoded_reason")),
                "detail": daft.functions.when(col("decoded_reason").is_null(), col("detail")).otherwise(
                    col("decoded_detail")
                ),
                "score": daft.functions.coalesce(col("score"), col("decoded_score")),
            }
        )
        .exclude("source", "decoded_reason", "decoded_detail", "decoded_score")
    )


def _warc_reader(recipe: GroupingRecipe) -> Any:
    def read(file: daft.File, path: str) -> Iterator[dict[str, Any]]:
        with file.open() as source:
            for record in read_warc(source, name=_name(path), recipe=recipe):
                yield _as_dict(record)

    return daft.func(read, return_dtype=_RECORD)


def _shard_reader(recipe: GroupingRecipe) -> Any:
    def read(file: daft.File, path: str, tar: str) -> Iterator[dict[str, Any]]:
        with file.open() as table:
            if not tar:
                yield from (_as_dict(record) for record in read_shard(table, None, name=_name(path), recipe=recipe))
                return
            with daft.File(tar).open() as pictures:
                for record in read_shard(table, pictures, name=_name(path), recipe=recipe):
                    yield _as_dict(record)

    return daft.func(read, return_dtype=_RECORD)


def _decoder(recipe: GroupingRecipe) -> Any:
    def run(source: bytes | None) -> dict[str, Any]:
        if source is None:
            return {}
        name = ids.picture_id(source)
        try:
            picture = decode(source, recipe)
        except PictureRefused as refused:
            return {
                "picture_id": name,
                "decoded_reason": refused.reason.value,
                "decoded_detail": refused.detail,
                "decoded_score": refused.score,
            }
        return {
            "picture_id": name,
            "phash": picture.phash,
            "width_px": picture.width_px,
            "height_px": picture.height_px,
            "pixels_sha256": picture.pixels_sha256,
            "png": picture.png,
        }

    return daft.func(run, return_dtype=_DECODED)


def _as_dict(record: CrawlRecord) -> dict[str, Any]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return values | {
        "kind": record.kind.value,
        "reason": str(record.reason) if record.reason else None,
    }


def _remote_files(url: str, crawl_format: CrawlFormat) -> list[str]:
    suffixes = _SUFFIXES[crawl_format]
    pattern = url if url.endswith(suffixes) else f"{url.rstrip('/')}/**"
    try:
        paths: list[str] = daft.from_glob_path(pattern).to_pydict()["path"]
    except Exception as error:  # Daft's errors have no common class of use: no bucket, no key, no answer
        raise CrawlUnreadable(f"cannot list {url!r} ({error}): check address and keys") from error
    found = sorted(path for path in paths if path.endswith(suffixes))
    if not found:
        raise _nothing(url, crawl_format)
    return found


def _nothing(url: str, crawl_format: CrawlFormat) -> CrawlUnreadable:
    wanted = " or ".join(_SUFFIXES[crawl_format])
    return CrawlUnreadable(f"nothing at {url!r} ends in {wanted}: correct the crawl's address or its format")


def _tar_beside(table: str, files: list[str]) -> str:
    tar = table.removesuffix(".parquet") + ".tar"
    if table.startswith("s3://"):
        return tar  # img2dataset writes both; where it did not, the shard says so
    return tar if Path(tar).is_file() else ""


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


__all__ = ["ByteSource", "CrawlFormat", "crawl_files", "read_crawl"]
