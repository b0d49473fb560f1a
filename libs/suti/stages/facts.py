"""What the ledger says of a run, read again and again at little cost: commits never change, so each is read once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from suti.core import keys
from suti.core.records import Stage
from suti.infra.ledger import Commit
from suti.infra.store import Store
from suti.stages.lineage import inherited_stages, ledger_of
from suti.stages.run_spec import RunSpec
from suti.stages.shards import RunFacts, StageFacts


@dataclass(frozen=True, slots=True)
class DeadShard:
    """A shard whose ticket became a dead letter: for its data, or for what a replay may heal."""

    run_id: str
    stage: str
    shard: int
    bad_data: bool


class FactsReader:
    """Reads runs' facts and remembers commits. Safe to share between threads: at worst a commit is read twice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commits: dict[tuple[str, Stage], dict[int, Commit]] = {}

    def read(self, spec: RunSpec, *, dead: Iterable[DeadShard] = ()) -> RunFacts:
        """The facts as they are now. `dead` are the shards that dead letters name, of this run or others."""
        given_up = [one for one in dead if one.run_id == spec.run_id]
        stages: dict[Stage, StageFacts] = {}
        for stage in Stage:
            commits = self.commits(spec, stage)
            stages[stage] = StageFacts(
                committed={shard: commit.counts for shard, commit in commits.items()},
                dead=frozenset(self._dropped(spec, stage)).union(
                    one.shard for one in given_up if one.stage == stage and one.bad_data
                ),
                held=frozenset(one.shard for one in given_up if one.stage == stage and not one.bad_data),
            )
        if spec.parent_run_id:
            filtering = stages[Stage.FILTERING]
            stages[Stage.FILTERING] = replace(filtering, dead=filtering.dead | self._unjudged(spec))
        grouping = self.commits(spec, Stage.GROUPING).get(0)
        return RunFacts(
            run_id=spec.run_id,
            shards=None if grouping is None else grouping.counts["shards"],
            stages=stages,
            cancelled=self._store.exists(keys.run_cancelled(spec.run_id)),
            inherited=inherited_stages(spec),
        )

    def commits(self, spec: RunSpec, stage: Stage) -> Mapping[int, Commit]:
        """The commits of one stage by shard, those of an inherited stage from the parent."""
        ledger = ledger_of(self._store, spec, stage)
        known = self._commits.setdefault((ledger.run_id, stage), {})
        for shard in self._shards(ledger.run_id, stage):
            if shard not in known and (commit := ledger.find(stage, shard)) is not None:
                known[shard] = commit
        return dict(sorted(known.items()))

    def forget(self, run_id: str) -> None:
        """Drops what is remembered of a run that has ended."""
        for key in [key for key in self._commits if key[0] == run_id]:
            del self._commits[key]

    def _unjudged(self, spec: RunSpec) -> frozenset[int]:
        """Shards whose candidates the parent never judged, so that there are no scores to judge by anew."""
        judged = self._shards(spec.parent_run_id, Stage.FILTERING)
        return frozenset(self.commits(spec, Stage.EXPERTS).keys() - set(judged))

    def _shards(self, run_id: str, stage: Stage) -> list[int]:
        return [int(name) for name in self._store.folders(keys.stage(run_id, stage)) if name.isdecimal()]

    def _dropped(self, spec: RunSpec, stage: Stage) -> list[int]:
        if stage in inherited_stages(spec):
            return []
        known = self._commits.get((spec.run_id, stage), {})
        open_shards = (shard for shard in self._shards(spec.run_id, stage) if shard not in known)
        return [shard for shard in open_shards if self._store.exists(keys.dead_shard(spec.run_id, stage, shard))]
