"""The whole grouping as one Daft program: what was read, joined, judged, and laid out by shard.

What is large (pixels) goes through tables in a scratch folder; what is held at once is rows without pixels, and the
pictures of one shard.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from suti.core.records import DropRow
from suti.ml.clusters.crawl_records import CrawlAway, CrawlUnreadable, RecordKind
from suti.ml.clusters.engine import daft
from suti.ml.clusters.grouping import judge_pages, kept_pairs, pairs_of
from suti.ml.clusters.page_verdicts import Verdict
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe
from suti.ml.clusters.urls import UrlInvalid, canonical

type Frame = daft.DataFrame
type Report = Callable[[int, int, str], None]  # done, total, what

_COLUMNS = (
    "page_url",
    "picture_url",
    "picture_id",
    "phash",
    "alt_text",
    "licence",
    "fetched_at",
    "width_px",
    "height_px",
    "pixels_sha256",
)
_STEPS = 3


@dataclass(frozen=True)
class Grouped:
    """What a crawl came to."""

    pages_in: int
    pictures_in: int  # of the crawl, usable or not
    pairs_out: int
    clusters: int
    shards: int
    drops: Sequence[DropRow]  # in no order
    layout: str

    def shard(self, index: int) -> list[dict[str, Any]]:
        """One shard's pictures with their `png`, sorted by cluster and picture."""
        table = daft.read_parquet(f"{self.layout}/shard={index}/*.parquet")
        rows = cast("list[dict[str, Any]]", table.to_pylist())
        return sorted(rows, key=lambda row: (row["cluster_id"], row["picture_id"]))


def group_crawl(
    records: Frame,
    recipe: GroupingRecipe,
    *,
    scratch: str,
    tombstoned_urls: Sequence[str] = (),
    tombstoned_ids: Sequence[str] = (),
    progress: Report,
) -> Grouped:
    """Groups what `crawl.read_crawl` reads. `scratch` is an empty folder that lives as long as the answer is used.

    Equal records give equal shards and drops, in whatever order and however often they come.

    Raises:
        CrawlUnreadable: nothing in it could be read, or a store gave one of its files to nobody.
        CrawlAway: a store did not answer.
    """
    col = daft.col
    records.write_parquet(f"{scratch}/records", compression="lz4")
    read = daft.read_parquet(f"{scratch}/records/*.parquet")
    rows = read.exclude("png").collect()
    _refuse_broken_off(rows)
    damage = _drops(_of_kind(rows, RecordKind.RECORD), kind="record", name="picture_url")
    _refuse_nothing(rows, damage)
    progress(1, _STEPS, "grouping by page")
    captures = _captures(rows)
    pairs = _pairs(rows, captures, _spelled(tombstoned_urls), list(tombstoned_ids))
    usable = pairs.where(col("reason").is_null())
    judged = judge_pages(usable.select(*[col(name) for name in _COLUMNS]), recipe)
    kept = kept_pairs(judged, recipe).collect()
    progress(2, _STEPS, "laying out shards")
    shards = _lay_out(read, kept, f"{scratch}/shards")
    clusters = set(kept.to_pydict()["page_url"])
    drops = [
        *damage,
        *_drops(pairs.where(col("reason").not_null()), kind="pair", name="picture_id"),
        *_judged_drops(judged),
        *_picture_drops(captures, pairs),
        *_page_drops(rows, pairs, judged, clusters, _spelled(tombstoned_urls)),
    ]
    progress(_STEPS, _STEPS, "grouped")
    return Grouped(
        pages_in=len(_page_urls(rows)),
        pictures_in=captures.count_rows(),
        pairs_out=len(kept),
        clusters=len(clusters),
        shards=shards,
        drops=drops,
        layout=f"{scratch}/shards",
    )


def _captures(rows: Frame) -> Frame:
    """All pictures of the crawl with `rank`: 1 for the one that its URL stands for (usable before not, then latest)."""
    col = daft.col
    pictures = _of_kind(rows, RecordKind.PICTURE).with_column("unusable", col("reason").not_null())
    order = (
        daft.Window()
        .partition_by("picture_url")
        .order_by("unusable", "fetched_at", "picture_id", desc=[False, True, False])
    )
    return pictures.with_column("rank", daft.functions.row_number().over(order)).collect()


def _pairs(rows: Frame, captures: Frame, urls: list[str], picture_ids: list[str]) -> Frame:
    """All pairs with the picture that their URL stands for, and a reason where they are of no use."""
    col = daft.col
    when, lit = daft.functions.when, daft.lit
    pictures = captures.where(col("rank").is_in([1])).select(  # pyright: ignore[reportOperatorIssue] - takes a number too
        "picture_url",
        "picture_id",
        "phash",
        "fetched_at",
        "width_px",
        "height_px",
        "pixels_sha256",
        col("reason").alias("picture_reason"),
        col("detail").alias("picture_detail"),
        col("score").alias("picture_score"),
        lit(True).alias("found"),
    )
    pairs = _of_kind(rows, RecordKind.PAIR).select(
        "page_url", "picture_url", "alt_text", "licence", "reason", "detail", "score"
    )
    joined = pairs.join(pictures, on="picture_url", how="left")
    buried = col("page_url").is_in(urls) | col("picture_url").is_in(urls)
    buried = buried | daft.functions.coalesce(col("picture_id").is_in(picture_ids), lit(False))
    missing = when(col("found").is_null(), lit(Drop.PICTURE_MISSING.value))
    tombstoned = when(buried, lit(Drop.TOMBSTONED.value))
    return joined.with_columns(
        {
            "reason": daft.functions.coalesce(
                tombstoned.otherwise(None), col("reason"), col("picture_reason"), missing.otherwise(None)
            ),
            "score": daft.functions.coalesce(col("score"), col("picture_score")),
            "detail": daft.functions.coalesce(col("picture_detail"), col("detail")),
        }
    ).collect()


def _lay_out(read: Frame, kept: Frame, folder: str) -> int:
    """Writes the kept pairs with their pixels, a folder per shard; returns how many shards."""
    if not len(kept):
        return 0
    col = daft.col
    pixels = read.where(col("png").not_null()).select("picture_id", "png").distinct("picture_id")
    kept.join(pixels, on="picture_id", how="inner").write_parquet(
        folder, partition_cols=[col("shard")], compression="lz4"
    )
    return 1 + max(cast("list[int]", kept.to_pydict()["shard"]))


def _drops(rows: Frame, *, kind: str, name: str) -> list[DropRow]:
    """Rows with a reason as drops. `name` is the column of their id; the picture's URL where it is empty."""
    return [
        DropRow(
            kind=kind,
            id=row[name] or row["picture_url"],
            reason=row["reason"],
            score=row["score"],
            detail=_detail(row, name),
            page_url=row["page_url"] or "",
        )
        for row in cast("list[dict[str, Any]]", rows.to_pylist())
    ]


def _detail(row: dict[str, Any], name: str) -> str:
    said = str(row["detail"] or "")
    return said if name == "picture_url" or not row[name] else f"{row['picture_url']} {said}".strip()


def _judged_drops(judged: Frame) -> list[DropRow]:
    col = daft.col
    lost = pairs_of(judged).where(~col("verdict").is_in([int(Verdict.KEPT)])).to_pylist()
    return [
        DropRow(
            kind="pair",
            id=row["picture_id"],
            reason=Verdict(row["verdict"]).name,
            score=None,
            detail=row["picture_url"],
            page_url=row["page_url"],
        )
        for row in cast("list[dict[str, Any]]", lost)
    ]


def _picture_drops(captures: Frame, pairs: Frame) -> list[DropRow]:
    """Pictures that stand for nothing: unusable, fetched again, or on no page. A site's other files are none."""
    shown = set(cast("list[str]", pairs.to_pydict()["picture_url"]))
    drops: list[DropRow] = []
    for row in cast("list[dict[str, Any]]", captures.to_pylist()):
        reason = row["reason"]
        if row["rank"] > 1:
            reason = Drop.PICTURE_FETCHED_AGAIN.value
        elif row["picture_url"] not in shown:  # reason stays where it is shown but of no use
            no_picture = reason == Drop.PICTURE_NOT_A_PICTURE and not row["declared"]
            reason = None if no_picture else reason or Drop.PICTURE_NOT_SHOWN.value
        if reason is not None:
            name = row["picture_id"] or row["picture_url"]
            said = _detail(row, "picture_id")
            drops.append(DropRow("picture", name, reason, score=row["score"], detail=said, page_url=""))
    return drops


def _page_drops(rows: Frame, pairs: Frame, judged: Frame, clusters: set[str], buried: Sequence[str]) -> list[DropRow]:
    """A drop for each page that became no cluster, scored by how many distinct pictures it had left."""
    col = daft.col
    unread = _of_kind(rows, RecordKind.PAGE).where(col("reason").not_null())
    drops = _drops(unread, kind="page", name="page_url")
    lists = judged.select("page_url", "verdict").to_pydict()
    too_few = int(Verdict.PAGE_TOO_FEW_PICTURES)
    left = {
        url: sum(verdict == too_few for verdict in verdicts)
        for url, verdicts in zip(lists["page_url"], lists["verdict"], strict=True)
    }
    told = {row.page_url for row in drops}
    for url in sorted(_page_urls(rows) - clusters - told):
        reason = Drop.TOMBSTONED if url in set(buried) else Drop.PAGE_TOO_FEW_PICTURES
        score = float(left.get(url, 0)) if reason is Drop.PAGE_TOO_FEW_PICTURES else None
        drops.append(DropRow("page", url, reason.value, score=score, detail="", page_url=url))
    return drops


def _of_kind(rows: Frame, *kinds: RecordKind) -> Frame:
    return rows.where(daft.col("kind").is_in([kind.value for kind in kinds]))


def _page_urls(rows: Frame) -> set[str]:
    pages = _of_kind(rows, RecordKind.PAGE, RecordKind.PAIR).select("page_url").distinct()
    return set(cast("list[str]", pages.to_pydict()["page_url"]))


def _refuse_broken_off(rows: Frame) -> None:
    """Raises CrawlAway or CrawlUnreadable where a file was not read to its end for its store's sake."""
    broken = cast("list[dict[str, Any]]", _of_kind(rows, RecordKind.AWAY, RecordKind.REFUSED).to_pylist())
    for row in sorted(broken, key=lambda row: (row["kind"] != RecordKind.REFUSED, row["picture_url"])):
        kind = CrawlUnreadable if row["kind"] == RecordKind.REFUSED else CrawlAway
        raise kind(f"{row['picture_url']} was not read to its end: {row['detail']}")


def _refuse_nothing(rows: Frame, damage: Sequence[DropRow]) -> None:
    """Raises CrawlUnreadable where damage is all there is."""
    corrupt = [row for row in damage if row.reason == Drop.CRAWL_RECORD_CORRUPT]
    if len(rows) == len(corrupt) and corrupt:
        first = corrupt[0]
        raise CrawlUnreadable(
            f"no record of the crawl can be read (first at {first.id}: {first.detail}): "
            "check that the input is a crawl of the run's format"
        )


def _spelled(urls: Sequence[str]) -> list[str]:
    """Tombstones' URLs as the readers spell theirs."""
    spelled = set(urls)
    for url in urls:
        try:
            spelled.add(canonical(url))
        except UrlInvalid:
            continue
    return sorted(spelled)
