"""A crawl as a Daft table: files in, one row per page, pair and picture out, pictures decoded.

Every step is a function of one row, so any number of machines may share the files.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from suti.core import ids
from suti.core.errors import RetryableError, SutiError
from suti.ml.clusters.crawl_places import ByteSource, NoRemote, Remote, is_remote, local_place, opened
from suti.ml.clusters.crawl_records import CrawlRecord, CrawlUnreadable, RecordKind
from suti.ml.clusters.decode import PictureRefused, decode
from suti.ml.clusters.engine import daft
from suti.ml.clusters.img2dataset import read_shard
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.warc import read_warc

type CrawlFormat = Literal["warc", "img2dataset"]

_SUFFIXES: dict[CrawlFormat, tuple[str, ...]] = {"warc": (".warc", ".warc.gz"), "img2dataset": (".parquet",)}

_NO_REMOTE = NoRemote()
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


def crawl_files(url: str, crawl_format: CrawlFormat, *, remote: Remote = _NO_REMOTE) -> list[str]:
    """The crawl's files, sorted: one file as it is, of a folder those of the format, at any depth.

    Raises:
        CrawlUnreadable: there is no such file or folder, or none of the format in it.
    """
    if is_remote(url):
        return _remote_files(url, crawl_format, remote)
    path = local_place(url)
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


def read_crawl(
    files: Sequence[str], crawl_format: CrawlFormat, recipe: GroupingRecipe, *, remote: Remote = _NO_REMOTE
) -> "daft.DataFrame":
    """Everything in the files, lazily: the columns of CrawlRecord without `source`, and of DecodedPicture.

    A picture that cannot be used has its `reason`, and no pixels. `remote` opens what lies in an object store.
    """
    col = daft.col
    if crawl_format == "warc":
        table = _spread({"path": list(files)})
        record = _warc_reader(recipe, remote)(col("path"))
    else:
        tars = [_tar_beside(file, remote) for file in files]
        table = _spread({"path": list(files), "tar": tars})
        record = _shard_reader(recipe, remote)(col("path"), col("tar"))
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


def _spread(columns: dict[str, list[str]]) -> "daft.DataFrame":
    """On a cluster one partition a file, so that several nodes may read at once; in one process threads do."""
    table = daft.from_pydict(columns)
    return table.into_partitions(len(columns["path"])) if daft.get_or_infer_runner_type() == "ray" else table


def _warc_reader(recipe: GroupingRecipe, remote: Remote) -> Any:
    def records(path: str) -> Iterator[CrawlRecord]:
        with opened(path, remote) as source:
            yield from read_warc(source, name=_name(path), recipe=recipe)

    def read(path: str) -> Iterator[dict[str, Any]]:
        yield from _rows(path, records(path))

    return daft.func(read, return_dtype=_RECORD)


def _shard_reader(recipe: GroupingRecipe, remote: Remote) -> Any:
    def records(path: str, tar: str) -> Iterator[CrawlRecord]:
        with opened(path, remote) as table, opened(tar, remote) if tar else nullcontext() as pictures:
            yield from read_shard(table, pictures, name=_name(path), recipe=recipe)

    def read(path: str, tar: str) -> Iterator[dict[str, Any]]:
        yield from _rows(path, records(path, tar))

    return daft.func(read, return_dtype=_RECORD)


def _rows(path: str, records: Iterator[CrawlRecord]) -> Iterator[dict[str, Any]]:
    """The records, and where they break off one more that says why."""
    try:
        yield from map(_as_dict, records)
    except SutiError as error:
        kind = RecordKind.AWAY if isinstance(error, RetryableError) else RecordKind.REFUSED
        yield _as_dict(CrawlRecord(kind, picture_url=path, detail=str(error)))


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


def _remote_files(url: str, crawl_format: CrawlFormat, remote: Remote) -> list[str]:
    found = remote.files(url)
    if crawl_format == "img2dataset" and found == [url] and url.endswith(".tar"):
        found = remote.files(f"{url.removesuffix('.tar')}.parquet") or found  # a shard that is named by its tar
    found = sorted(path for path in found if path.lower().endswith(_SUFFIXES[crawl_format]))
    if not found:
        raise _nothing(url, crawl_format)
    return found


def _nothing(url: str, crawl_format: CrawlFormat) -> CrawlUnreadable:
    wanted = " or ".join(_SUFFIXES[crawl_format])
    return CrawlUnreadable(f"nothing at {url!r} ends in {wanted}: correct the crawl's address or its format")


def _tar_beside(table: str, remote: Remote) -> str:
    tar = table.removesuffix(".parquet") + ".tar"
    found = remote.files(tar) == [tar] if is_remote(table) else Path(tar).is_file()
    return tar if found else ""


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


__all__ = ["ByteSource", "CrawlFormat", "crawl_files", "read_crawl"]
