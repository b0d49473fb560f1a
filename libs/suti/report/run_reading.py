"""A run's rows and pictures, read from the store for its report and for judging its experts."""

import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow.parquet as pq

from suti.core.records import CandidateRow, CaptionRow, PictureRow, PromptRow, Stage, VerdictRow
from suti.infra.store import ObjectMissing, Store
from suti.stages.lineage import ShardRows, ledger_of
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.shard_pictures import ShardPictures


@dataclass(frozen=True)
class Candidate:
    """A judged candidate with everything around it."""

    row: CandidateRow
    verdict: VerdictRow
    prompt: str
    page_url: str
    pngs: "RunReading"
    shard: int

    def png(self) -> bytes:
        """What the expert drew."""
        return self.pngs.candidate_png(self.shard, self.row)


class RunReading:
    """One run of a store, or a few shards of it; what a child run inherits is read from its parent."""

    def __init__(self, store: Store, run_id: str, *, shards: Collection[int] | None = None) -> None:
        self.spec: RunSpec = load_run_spec(store, run_id)
        self._store = store
        self._only = shards

    @cached_property
    def clusters(self) -> Mapping[str, list[PictureRow]]:
        """The captioned pictures of each selected cluster, by cluster id; all of it while its shard has no captions."""
        found: dict[str, list[PictureRow]] = {}
        captioned = set(self._shards(Stage.CAPTIONING))
        for shard in self._shards(Stage.SELECTION):
            for row in ShardRows(self._store, self.spec, shard).read(Stage.SELECTION, "clusters.parquet", PictureRow):
                if shard not in captioned or (row.cluster_id, row.picture_id) in self.texts:
                    found.setdefault(row.cluster_id, []).append(row)
        return found

    @cached_property
    def texts(self) -> Mapping[tuple[str, str], str]:
        """Each picture's refined text, by (cluster id, picture id)."""
        return {
            (row.cluster_id, row.picture_id): row.text
            for shard in self._shards(Stage.CAPTIONING)
            for row in ShardRows(self._store, self.spec, shard).read(Stage.CAPTIONING, "captions.parquet", CaptionRow)
        }

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate that was judged, by shard."""
        for shard in self._shards(Stage.FILTERING):
            rows = ShardRows(self._store, self.spec, shard)
            prompts = {row.prompt_id: row.text for row in rows.read(Stage.CAPTIONING, "prompts.parquet", PromptRow)}
            drawn = {row.candidate_id: row for row in rows.read(Stage.EXPERTS, "candidates.parquet", CandidateRow)}
            for verdict in rows.read(Stage.FILTERING, "verdicts.parquet", VerdictRow):
                yield Candidate(
                    row=drawn[verdict.candidate_id],
                    verdict=verdict,
                    prompt=prompts[verdict.prompt_id],
                    page_url=self.clusters[verdict.cluster_id][0].page_url,
                    pngs=self,
                    shard=shard,
                )

    def picture_png(self, row: PictureRow) -> bytes:
        """A cluster's picture."""
        return self._crawled.png(row)

    def candidate_png(self, shard: int, row: CandidateRow) -> bytes:
        """A candidate's picture."""
        ledger = ledger_of(self._store, self.spec, Stage.EXPERTS)
        return ShardPictures(ledger, ledger.get(Stage.EXPERTS, shard)).png(row)

    def losses(self) -> list[float]:
        """The apprentice's loss at each step; empty before it is trained, and where none were kept."""
        ledger = ledger_of(self._store, self.spec, Stage.APPRENTICE)
        if (commit := ledger.find(Stage.APPRENTICE, 0)) is None:
            return []
        try:
            data = ledger.read(commit.part("losses.parquet"))
        except ObjectMissing:
            return []
        column: list[float] = pq.read_table(io.BytesIO(data)).column("loss").to_pylist()
        return column

    @cached_property
    def _crawled(self) -> ShardPictures:
        """With thousands of shards the grouping's commit is large: it is read once."""
        ledger = ledger_of(self._store, self.spec, Stage.GROUPING)
        return ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))

    def _shards(self, stage: Stage) -> list[int]:
        ledger = ledger_of(self._store, self.spec, stage)
        if self._only is None:
            return [commit.shard for commit in ledger.commits(stage)]
        return [shard for shard in sorted(self._only) if ledger.is_committed(stage, shard)]
