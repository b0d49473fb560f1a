"""Clusters as people see them: what grouping made, what selection thought, what captioning said. No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from suti.core.errors import NotFound
from suti.core.records import CaptionRow, ClusterScoreRow, DropRow, PictureRow, PromptRow, Stage
from suti.infra.ledger import Commit
from suti.infra.store import Store
from suti.infra.tables import Row, from_parquet
from suti.stages.lineage import ledger_of
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.shard_pictures import ShardPictures


class ClusterState(StrEnum):
    """How a cluster fared; the values are the API's names."""

    RAW = "RAW"
    KEPT = "KEPT"
    DROPPED = "DROPPED"


@dataclass(frozen=True)
class ClusterView:
    """One cluster with all that is known of it. Kept ones have their kept pictures alone."""

    cluster_id: str
    shard: int
    state: ClusterState
    pictures: Sequence[PictureRow]
    drop: DropRow | None = None
    similarity: float | None = None
    captions: Mapping[str, CaptionRow] = field(default_factory=dict[str, CaptionRow])  # by picture id
    prompts: Sequence[PromptRow] = ()


class ClusterReader:
    """Reads one run's clusters, shard by shard. Calls block. Raises ObjectMissing for an unknown run."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._spec: RunSpec = load_run_spec(store, run_id)

    def shards(self) -> int:
        """How many shards grouping made; none before it is committed."""
        commit = self._commit(Stage.GROUPING, 0)
        return 0 if commit is None else commit.counts["shards"]

    def shard(self, shard: int) -> list[ClusterView]:
        """The clusters of one shard, sorted by id."""
        raw = _by_cluster(self._rows(Stage.GROUPING, 0, f"clusters-{shard:06d}.parquet", PictureRow))
        selected = self._commit(Stage.SELECTION, shard) is not None
        kept = _by_cluster(self._rows(Stage.SELECTION, shard, "clusters.parquet", PictureRow))
        drops = {
            row.id: row for row in self._rows(Stage.SELECTION, shard, "drops.parquet", DropRow) if row.kind == "cluster"
        }
        scores = {row.cluster_id: row for row in self._rows(Stage.SELECTION, shard, "scores.parquet", ClusterScoreRow)}
        captions: dict[str, dict[str, CaptionRow]] = {}
        for row in self._rows(Stage.CAPTIONING, shard, "captions.parquet", CaptionRow):
            captions.setdefault(row.cluster_id, {})[row.picture_id] = row
        prompts: dict[str, list[PromptRow]] = {}
        for row in self._rows(Stage.CAPTIONING, shard, "prompts.parquet", PromptRow):
            prompts.setdefault(row.cluster_id, []).append(row)
        return [
            ClusterView(
                cluster_id=name,
                shard=shard,
                state=_state(selected=selected, kept=name in kept),
                pictures=kept.get(name, rows),
                drop=drops.get(name),
                similarity=scores[name].similarity if name in scores else None,
                captions=captions.get(name, {}),
                prompts=sorted(prompts.get(name, []), key=lambda row: row.prompt_id),
            )
            for name, rows in sorted(raw.items())
        ]

    def find(self, cluster_id: str) -> ClusterView:
        """One cluster. Raises NotFound."""
        for shard in range(self.shards()):
            for view in self.shard(shard):
                if view.cluster_id == cluster_id:
                    return view
        raise NotFound("cluster", cluster_id[:80], remedy="see ListClusters of the run")

    def pictures(self) -> ShardPictures:
        """Where the clusters' pixels are."""
        ledger = ledger_of(self._store, self._spec, Stage.GROUPING)
        return ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))

    def _commit(self, stage: Stage, shard: int) -> Commit | None:
        return ledger_of(self._store, self._spec, stage).find(stage, shard)

    def _rows[R: Row](self, stage: Stage, shard: int, part: str, row_type: type[R]) -> list[R]:
        """The rows of a part; none while its shard is not committed."""
        commit = self._commit(stage, shard)
        if commit is None:
            return []
        return from_parquet(ledger_of(self._store, self._spec, stage).read(commit.part(part)), row_type)


def _by_cluster(rows: Sequence[PictureRow]) -> dict[str, list[PictureRow]]:
    found: dict[str, list[PictureRow]] = {}
    for row in sorted(rows, key=lambda row: (row.cluster_id, row.picture_id)):
        found.setdefault(row.cluster_id, []).append(row)
    return found


def _state(*, selected: bool, kept: bool) -> ClusterState:
    if not selected:
        return ClusterState.RAW
    return ClusterState.KEPT if kept else ClusterState.DROPPED
