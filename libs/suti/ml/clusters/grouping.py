"""Pairs to raw clusters, as one Daft program: by page, duplicates out, small pages out, clusters into shards.

Functions of columns and nothing else: no order of rows, no machine and no clock decides anything.
"""

from collections.abc import Sequence
from typing import Any, cast, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from suti.ml.clusters.engine import daft
from suti.ml.clusters.page_verdicts import PagePictures, Verdict, cluster_ids, judge
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.urls import UrlInvalid, canonical

type ArrowArray = Any  # pyarrow ships no types

pc: Any = pyarrow.compute  # its functions are made at import, unseen by type checkers

CORE_COLUMNS = ("picture_url", "picture_id", "phash", "alt_text")

# URLs that are canonical already: most are, and need no Python.
_CANONICAL = r"^https?://[a-z0-9.-]+/[A-Za-z0-9%/:=&~+!$,;'@()*_.-]*(\?[A-Za-z0-9%/:=&~+!$,;'@()*_.?-]+)?$"

_TYPE = daft.DataType
_JUDGEMENT = _TYPE.struct({"cluster_id": _TYPE.string(), "verdict": _TYPE.list(_TYPE.uint8())})
_JUDGEMENT_ARROW = pa.struct([("cluster_id", pa.large_string()), ("verdict", pa.large_list(pa.uint8()))])


def group_pairs(pairs: "daft.DataFrame", recipe: GroupingRecipe) -> "daft.DataFrame":
    """The pairs that raw clusters are made of, with `cluster_id` and `shard` (uint32).

    `pairs` has page_url, picture_url, picture_id (64 hex digits), phash (uint64), alt_text; further columns go
    through. Rows whose page_url is none on the web are left out.
    """
    return kept_pairs(judge_pages(pairs, recipe), recipe)


def judge_pages(pairs: "daft.DataFrame", recipe: GroupingRecipe) -> "daft.DataFrame":
    """One row per page, computed: its pairs' columns as lists, `verdict` (of Verdict) among them, and `cluster_id`.

    `cluster_id` is null where the page was dropped.
    """
    col = daft.col
    columns = [name for name in pairs.column_names if name != "page_url"]
    pages = (
        pairs.with_column("page_url", _canonical_pages(col("page_url")))
        .where(col("page_url").not_null())
        .groupby("page_url")
        .agg(*[col(name).list_agg().alias(name) for name in columns])
    )
    core = [col(name) for name in ("page_url", *CORE_COLUMNS)]
    judged = pages.with_column("judgement", _judge_pages(*core, recipe.near_duplicate_bits, recipe.min_pictures))
    return judged.select(*[col(name) for name in pages.column_names], daft.functions.unnest(col("judgement"))).collect()


def kept_pairs(pages: "daft.DataFrame", recipe: GroupingRecipe) -> "daft.DataFrame":
    """Of judged pages the pairs that stay, with their cluster's shard: rank by cluster id // `shard_clusters`."""
    col = daft.col
    kept = pages.where(col("cluster_id").not_null())
    # The one look at the whole: 64 bytes per cluster. Each shard's first id is all that the rows need to know.
    ids: ArrowArray = kept.select("cluster_id").to_arrow().column("cluster_id").combine_chunks()
    firsts: list[str] = ids.take(pc.sort_indices(ids)).to_pylist()[:: recipe.shard_clusters]
    sharded = kept.with_column("shard", _shard_of(col("cluster_id"), firsts))
    return pairs_of(sharded).where(col("verdict").is_in([int(Verdict.KEPT)])).exclude("verdict")


def pairs_of(pages: "daft.DataFrame") -> "daft.DataFrame":
    """Judged pages as pairs again, one row each."""
    lists = [field.name for field in pages.schema() if field.dtype.is_list()]
    return pages.explode(*[daft.col(name) for name in lists])


@daft.func.batch(return_dtype=_TYPE.string())
def _canonical_pages(urls: daft.Series) -> Any:
    given: ArrowArray = urls.to_arrow()
    plain = pc.fill_null(pc.match_substring_regex(given, _CANONICAL), fill_value=False)
    if pc.all(plain).as_py():
        return given
    distinct = pc.unique(pc.filter(given, pc.invert(plain))).to_pylist()
    spelled = {url: _canonical_or_none(url) for url in distinct}
    values = [url if fine else spelled[url] for url, fine in zip(given.to_pylist(), plain.to_pylist(), strict=True)]
    return pa.array(values, type=pa.large_string())


def _canonical_or_none(url: str | None) -> str | None:
    try:
        return canonical(url or "")
    except UrlInvalid:
        return None


@daft.func.batch(return_dtype=_JUDGEMENT)
def _judge_pages(  # noqa: PLR0917 - Daft passes columns by position
    page_urls: daft.Series,
    picture_urls: daft.Series,
    picture_ids: daft.Series,
    phashes: daft.Series,
    alt_texts: daft.Series,
    near_bits: int,
    min_pictures: int,
) -> Any:
    hashes: ArrowArray = phashes.to_arrow()
    starts = np.concatenate([[0], np.cumsum(pc.list_value_length(hashes).to_numpy(zero_copy_only=False))])
    pages = PagePictures(
        starts=starts.astype(np.int64),
        picture_ids=_Strings(picture_ids.to_arrow().flatten())[:],
        phashes=cast("NDArray[np.uint64]", hashes.flatten().to_numpy(zero_copy_only=False)).astype(np.uint64),
        picture_urls=_Strings(picture_urls.to_arrow().flatten()),
        alt_texts=_Strings(alt_texts.to_arrow().flatten()),
    )
    verdicts = judge(pages, near_bits=near_bits, min_pictures=min_pictures)
    named = cluster_ids(pages, page_urls.to_arrow().to_pylist(), verdicts)
    lists = pa.LargeListArray.from_arrays(pa.array(pages.starts), pa.array(verdicts))
    return pa.StructArray.from_arrays([pa.array(named, type=pa.large_string()), lists], fields=list(_JUDGEMENT_ARROW))


@daft.func.batch(return_dtype=_TYPE.uint32())
def _shard_of(cluster_ids: daft.Series, firsts: list[str]) -> Any:
    bounds = np.array(firsts, dtype="S64")
    names = np.array(cluster_ids.to_arrow().to_pylist(), dtype="S64")
    return pa.array((np.searchsorted(bounds, names, side="right") - 1).astype(np.uint32))


class _Strings(Sequence[str]):
    """A column's strings, made Python's own only where somebody looks: few pages have anything to compare."""

    def __init__(self, column: ArrowArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return cast("list[str]", self._column[index].to_pylist())
        return cast("str", self._column[index].as_py())
