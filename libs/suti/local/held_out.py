"""Held-out clusters for calibration: the pages of a crawl file, or what a run has grouped already."""

import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from PIL import Image

from suti.core.errors import NotFound
from suti.core.records import PictureRow, Stage, VerdictRow
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import from_parquet
from suti.stages.crawls import look_at_crawl
from suti.stages.grouping import run_shard as group
from suti.stages.lineage import ledger_of
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import ModelRef, Models, RunSpec, load_run_spec
from suti.stages.shard_pictures import ShardPictures

_FAILED = "PICTURE_FAILED"


@dataclass(frozen=True)
class HeldOutClusters:
    """Clusters nobody has judged yet, by id, their pictures unopened; and what a filter measured, where it did."""

    clusters: Mapping[str, Sequence[Callable[[], Image.Image]]]
    gains: Sequence[float] = field(default=())  # of the run's candidates, in no order
    gains_clip_sha256: str = ""  # the CLIP that measured them


@contextmanager
def clusters_of_crawl(crawl: str, *, progress: Progress = silent) -> Generator[HeldOutClusters]:
    """Group a crawl's pages as a run does; the pictures can be opened as long as the block lasts.

    Raises:
        CrawlMissing, CrawlUnreadable: it is not there, or no crawl.
    """
    with tempfile.TemporaryDirectory(prefix="suti-held-out-") as folder:
        place = crawl if "://" in crawl else str(Path(crawl).expanduser().absolute())
        spec = RunSpec(
            run_id="held-out",
            created_at=datetime.now(UTC),
            created_by="suti models calibrate",
            input=look_at_crawl(place),
            models=Models(base=ModelRef(name="none"), clip=ModelRef(name="none")),
        )
        ledger = Ledger(Store.open(f"file://{folder}"), spec.run_id)
        yield HeldOutClusters(_clusters(ledger, group(ledger, spec, progress=progress)))


def clusters_of_run(store: Store, run_id: str) -> HeldOutClusters:
    """The clusters that a run grouped, and its candidates' gains as far as they are judged.

    Raises:
        NotFound: no such run.
        NotCommitted: it has not grouped its crawl yet.
    """
    try:
        spec = load_run_spec(store, run_id)
    except ObjectMissing as error:
        raise NotFound("run", run_id, remedy="`suti run list` shows those there are") from error
    ledger = ledger_of(store, spec, Stage.GROUPING)
    judged = Ledger(store, run_id)
    gains = [
        row.gain
        for commit in judged.commits(Stage.FILTERING)
        for row in from_parquet(judged.read(commit.part("verdicts.parquet")), VerdictRow)
        if row.reason != _FAILED
    ]
    clusters = _clusters(ledger, ledger.get(Stage.GROUPING, 0))
    return HeldOutClusters(clusters, gains=gains, gains_clip_sha256=spec.models.clip.sha256)


def _clusters(ledger: Ledger, commit: Commit) -> dict[str, list[Callable[[], Image.Image]]]:
    pictures = ShardPictures(ledger, commit)
    clusters: dict[str, list[Callable[[], Image.Image]]] = {}
    for shard in range(commit.counts["shards"]):
        for row in from_parquet(ledger.read(commit.part(f"clusters-{shard:06d}.parquet")), PictureRow):
            clusters.setdefault(row.cluster_id, []).append(partial(pictures.open, row))
    return clusters
