"""A crawl becomes shards of raw clusters: one commit for all of them."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suti.core.errors import BadConfiguration
from suti.core.records import DropRow, PictureRow, Stage
from suti.infra.ledger import Commit, Draft, Ledger
from suti.infra.pictures import PictureTarWriter
from suti.infra.tables import to_parquet
from suti.infra.tombstones import load_tombstones
from suti.ml.clusters.crawl import crawl_files, read_crawl
from suti.ml.clusters.crawl_places import is_remote
from suti.ml.clusters.program import Grouped, group_crawl
from suti.stages.crawl_buckets import CrawlBuckets
from suti.stages.grouping_places import GroupingPlace, ThisProcess
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import CrawlInput, RunSpec

_CHUNK_BYTES = 1 << 20


class CrawlChanged(BadConfiguration):
    """The crawl's bytes are not those that the run was created with."""

    reason = "CRAWL_CHANGED"


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    *,
    buckets: CrawlBuckets = CrawlBuckets(),  # noqa: B008 - frozen
    place: GroupingPlace = ThisProcess(),  # noqa: B008 - holds nothing
    progress: Progress = silent,
    fence: str | None = None,
) -> Commit:
    """Group the run's crawl. There is one shard of this stage, 0; how many it makes is its count `shards`.

    Parts: for each shard made `clusters-NNNNNN.parquet` (PictureRow) and `pictures-NNNNNN.tar` (PNG), and
    `drops.parquet` (DropRow: records, pages, pairs and pictures). Counts are in pairs: items_in = items_out + dropped,
    and each reason's own in lower case; beside them pages_in, pages_out, clusters_out, pictures_in, pictures_out,
    records_corrupt, shards. A crawl without a usable page makes 0 shards.

    Raises:
        CrawlUnreadable: no such file or folder, or nothing in it is a crawl of that format.
        CrawlChanged: the input's SHA-256 is not the run's.
        StoreUnavailable, StoreRefused, BucketMissing: of a crawl in a bucket, which `buckets` opens.
        RayAway: of a `place` that is a Ray cluster.
    """
    started = time.monotonic()
    files = crawl_files(spec.input.url, spec.input.format, remote=buckets)
    progress(0, 3, "reading the crawl")
    _check(spec.input, files)
    tombstones = load_tombstones(ledger.store)
    with place.scratch(ledger, fence=fence) as scratch:
        grouped = group_crawl(
            read_crawl(files, spec.input.format, spec.grouping, remote=buckets),
            spec.grouping,
            scratch=scratch,
            tombstoned_urls=sorted(tombstones.urls),
            tombstoned_ids=sorted(tombstones.picture_ids),
            progress=progress,
        )
        draft = ledger.draft(Stage.GROUPING, 0, fence=fence)
        for shard in range(grouped.shards):
            _write_shard(draft, shard, grouped)
            progress(shard + 1, grouped.shards, "shards written")
    drops = sorted(grouped.drops, key=lambda row: (row.kind, row.page_url, row.id, row.reason, row.detail))
    draft.write("drops.parquet", to_parquet(drops, DropRow))
    return draft.commit(counts=_counts(grouped), seconds=time.monotonic() - started)


def _write_shard(draft: Draft, shard: int, grouped: Grouped) -> None:
    name = f"pictures-{shard:06d}.tar"
    tar = PictureTarWriter()
    rows: list[PictureRow] = []
    for row in grouped.shard(shard):
        offset, size_bytes = tar.add(f"{row['picture_id']}.png", row["png"])
        rows.append(_picture_row(row, part=name, offset=offset, size_bytes=size_bytes))
    draft.write(name, tar.finish())
    draft.write(f"clusters-{shard:06d}.parquet", to_parquet(rows, PictureRow))


def _picture_row(row: dict[str, Any], *, part: str, offset: int, size_bytes: int) -> PictureRow:
    return PictureRow(
        picture_id=row["picture_id"],
        cluster_id=row["cluster_id"],
        page_url=row["page_url"],
        picture_url=row["picture_url"],
        alt_text=row["alt_text"],
        fetched_at=row["fetched_at"],
        licence=row["licence"],
        width_px=row["width_px"],
        height_px=row["height_px"],
        pixels_sha256=row["pixels_sha256"],
        part=part,
        offset=offset,
        size_bytes=size_bytes,
    )


def _counts(grouped: Grouped) -> dict[str, int]:
    dropped = [row for row in grouped.drops if row.kind == "pair"]
    reasons = Counter(row.reason.lower() for row in dropped)
    return {
        "items_in": grouped.pairs_out + len(dropped),
        "items_out": grouped.pairs_out,
        "dropped": len(dropped),
        "pages_in": grouped.pages_in,
        "pages_out": grouped.clusters,
        "clusters_out": grouped.clusters,
        "pictures_in": grouped.pictures_in,
        "pictures_out": grouped.pairs_out,
        "records_corrupt": sum(row.reason == "CRAWL_RECORD_CORRUPT" for row in grouped.drops),
        "shards": grouped.shards,
        **dict(sorted(reasons.items())),
    }


def _check(crawl: CrawlInput, files: Sequence[str]) -> None:
    if not crawl.sha256 or len(files) != 1 or is_remote(files[0]):
        return
    digest = hashlib.sha256()
    with Path(files[0]).open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != crawl.sha256:
        raise CrawlChanged(
            f"{crawl.url!r} hashes to {digest.hexdigest()[:12]}, the run wants {crawl.sha256[:12]}: "
            "bring back the file of the run's creation, or create a new run"
        )
