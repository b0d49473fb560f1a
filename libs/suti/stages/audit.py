"""Counts every item of a run: each is in the next stage or dropped for a recorded reason, exactly once."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suti.core.records import CandidateRow, CaptionRow, ExampleRow, PictureRow, Stage, VerdictRow
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.infra.tables import Row, from_parquet
from suti.stages.drop_counts import ITEM_KIND, drops_of, read_drop_counts
from suti.stages.facts import FactsReader
from suti.stages.lineage import ledger_of
from suti.stages.run_spec import RunSpec
from suti.stages.shards import SHARDED

_MOST = 100


@dataclass(frozen=True, slots=True)
class StageAudit:
    """The count of one stage. Anything but 0 in `lost` and `doubled` is a bug in Suti."""

    stage: Stage
    items_in: int
    items_out: int
    dropped: Mapping[str, int]
    open: int  # in shards that are dead or not yet committed
    lost: int
    doubled: int
    suspects: Sequence[str]  # ids of what is lost or doubled


@dataclass(frozen=True, slots=True)
class Tally:
    """What went into one shard, and what came out of it or was dropped; ids as often as they stand there."""

    entered: Sequence[str]
    left: Sequence[str]
    dropped: Sequence[str]


def tally_stage(
    stage: Stage, tallies: Iterable[Tally], *, open_ids: Iterable[str], reasons: Mapping[str, int]
) -> StageAudit:
    """The count of one stage over its committed shards. Pure."""
    done = list(tallies)
    entered = Counter(name for tally in done for name in tally.entered)
    out = Counter(name for tally in done for name in (*tally.left, *tally.dropped))
    lost = sorted(entered.keys() - out.keys())
    # An id from nowhere is as wrong as one that came out twice.
    doubled = sorted(name for name, times in out.items() if times > max(1, entered[name]) or name not in entered)
    waiting = list(open_ids)
    return StageAudit(
        stage=stage,
        items_in=sum(entered.values()) + len(waiting),
        items_out=sum(len(tally.left) for tally in done),
        dropped=dict(reasons),
        open=len(waiting),
        lost=len(lost),
        doubled=len(doubled),
        suspects=(lost + doubled)[:_MOST],
    )


def audit_run(store: Store, spec: RunSpec) -> list[StageAudit]:
    """The count of every stage, in order. Reads all of the run's tables."""
    reader = FactsReader(store)
    commits = {stage: reader.commits(spec, stage) for stage in Stage}
    grouping = commits[Stage.GROUPING].get(0)
    if grouping is None:
        return [_nothing(stage) for stage in Stage]
    audits = [_grouping(store, spec, grouping)]
    audits += [_Sharded(store, spec, stage, commits).audit() for stage in SHARDED]
    return [*audits, _apprentice(store, spec, commits)]


class _Sharded:
    """The audit of one of the stages that go shard by shard."""

    def __init__(
        self, store: Store, spec: RunSpec, stage: Stage, commits: Mapping[Stage, Mapping[int, Commit]]
    ) -> None:
        self._stage = stage
        self._commits = commits
        self._ledger = {one: ledger_of(store, spec, one) for one in Stage}

    def audit(self) -> StageAudit:
        tallies: list[Tally] = []
        waiting: list[str] = []
        reasons: Counter[str] = Counter()
        shards = self._commits[Stage.GROUPING][0].counts["shards"]
        for shard in range(shards):
            entered = self._entered(shard)
            if (commit := self._commits[self._stage].get(shard)) is None:
                waiting += entered
                continue
            left, dropped = self._came_out(commit)
            tallies.append(Tally(entered=entered, left=left, dropped=dropped))
            reasons.update(read_drop_counts(self._ledger[self._stage], commit))
        return tally_stage(self._stage, tallies, open_ids=waiting, reasons=reasons)

    def _entered(self, shard: int) -> list[str]:
        """What the stage before gave to this shard; nothing while that is not committed."""
        match self._stage:
            case Stage.SELECTION:
                return self._clusters(Stage.GROUPING, 0, f"clusters-{shard:06d}.parquet", PictureRow)
            case Stage.CAPTIONING:
                return self._clusters(Stage.SELECTION, shard, "clusters.parquet", PictureRow)
            case Stage.EXPERTS:
                return self._clusters(Stage.CAPTIONING, shard, "captions.parquet", CaptionRow)
            case _:
                rows = self._rows(Stage.EXPERTS, shard, "candidates.parquet", CandidateRow)
                return [row.candidate_id for row in rows]

    def _came_out(self, commit: Commit) -> tuple[list[str], list[str]]:
        shard = commit.shard
        drops = [row.id for row in drops_of(self._ledger[self._stage], commit) if row.kind == ITEM_KIND[self._stage]]
        match self._stage:
            case Stage.SELECTION:
                return self._clusters(self._stage, shard, "clusters.parquet", PictureRow), drops
            case Stage.CAPTIONING:
                return self._clusters(self._stage, shard, "captions.parquet", CaptionRow), drops
            case Stage.EXPERTS:
                # A cluster whose expert diverged while drawing has candidates of no worth and a drop: it counts once.
                names = self._clusters(self._stage, shard, "candidates.parquet", CandidateRow)
                return [name for name in names if name not in set(drops)], drops
            case _:
                verdicts = self._rows(self._stage, shard, "verdicts.parquet", VerdictRow)
                kept = [row.candidate_id for row in self._rows(self._stage, shard, "examples.parquet", ExampleRow)]
                return kept, [*drops, *(row.candidate_id for row in verdicts if not row.kept)]

    def _clusters(
        self, stage: Stage, shard: int, part: str, row_type: type[PictureRow] | type[CaptionRow] | type[CandidateRow]
    ) -> list[str]:
        """The ids of a table's clusters, each once for this shard."""
        rows: Sequence[PictureRow | CaptionRow | CandidateRow] = self._rows(stage, shard, part, row_type)
        return list(dict.fromkeys(row.cluster_id for row in rows))

    def _rows[R: Row](self, stage: Stage, shard: int, part: str, row_type: type[R]) -> list[R]:
        commit = self._commits[stage].get(shard)
        return [] if commit is None else _read(self._ledger[stage], commit, part, row_type)


def _grouping(store: Store, spec: RunSpec, commit: Commit) -> StageAudit:
    """Pairs by count, clusters and pages by id: a cluster or page that stands in two places is doubled."""
    ledger = ledger_of(store, spec, Stage.GROUPING)
    names: Counter[str] = Counter()
    for shard in range(commit.counts["shards"]):
        rows = _read(ledger, commit, f"clusters-{shard:06d}.parquet", PictureRow)
        names.update({row.cluster_id for row in rows})
        names.update({row.cluster_id: row.page_url for row in rows}.values())
    doubled = sorted(name for name, times in names.items() if times > 1)
    # A page that was fetched twice may have been dropped once and clustered once.
    pages = {row.page_url for row in drops_of(ledger, commit) if row.kind == "page"} | names.keys()
    pages_lost = commit.counts["pages_in"] - (len(pages) - commit.counts["clusters_out"])
    read, dropped = commit.counts["items_in"], commit.counts["dropped"]
    left = commit.counts["items_out"]
    return StageAudit(
        stage=Stage.GROUPING,
        items_in=read,
        items_out=left,
        dropped=dict(read_drop_counts(ledger, commit)),
        open=0,
        lost=max(0, read - left - dropped) + max(0, pages_lost),
        doubled=len(doubled) + max(0, left + dropped - read),
        suspects=doubled[:_MOST],
    )


def _apprentice(store: Store, spec: RunSpec, commits: Mapping[Stage, Mapping[int, Commit]]) -> StageAudit:
    """Every kept example enters the one training."""
    ledger = ledger_of(store, spec, Stage.FILTERING)
    kept = [
        row.candidate_id
        for commit in commits[Stage.FILTERING].values()
        for row in _read(ledger, commit, "examples.parquet", ExampleRow)
    ]
    commit = commits[Stage.APPRENTICE].get(0)
    learnt = 0 if commit is None else commit.counts["items_in"]
    return StageAudit(
        stage=Stage.APPRENTICE,
        items_in=len(kept),
        items_out=0 if commit is None else commit.counts["items_out"],
        dropped={},
        open=len(kept) if commit is None else 0,
        lost=0 if commit is None else max(0, len(set(kept)) - learnt),
        doubled=len(kept) - len(set(kept)),
        suspects=[name for name, times in Counter(kept).items() if times > 1][:_MOST],
    )


def _nothing(stage: Stage) -> StageAudit:
    return StageAudit(stage, items_in=0, items_out=0, dropped={}, open=0, lost=0, doubled=0, suspects=())


def _read[R: Row](ledger: Ledger, commit: Commit, part: str, row_type: type[R]) -> list[R]:
    return from_parquet(ledger.read(commit.part(part)), row_type)
