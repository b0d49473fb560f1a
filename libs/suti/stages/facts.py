"""What the ledger says of a run, read again and again at little cost: commits never change, so each is read once."""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from suti.core import keys
from suti.core.records import Stage
from suti.infra.dead_letters import DeadLetters
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages.lineage import inherited_stages, ledger_of
from suti.stages.run_spec import RunSpec
from suti.stages.shards import SHARDED, RunFacts, StageFacts

_LOOKS = 256  # at shards in work, in one read
_IO = ThreadPoolExecutor(16, "facts")  # a store far away answers many at a time


@dataclass(frozen=True, slots=True)
class DeadShard:
    """A shard whose ticket became a dead letter: for its data, or for what a replay may heal."""

    run_id: str
    stage: str
    shard: int
    bad_data: bool


def dead_shards(letters: DeadLetters) -> list[DeadShard]:
    """The shards that dead letters name."""
    return [
        DeadShard(letter.run_id, letter.stage, letter.shard, bad_data=letter.bad_data)
        for letter in letters.list()
        if letter.run_id
    ]


class FactsReader:
    """Reads runs' facts and remembers commits. Safe to share between threads.

    Every shard is looked at when it is first seen. Of those that were not done then, each read looks at those that were
    `hinted` and at some hundreds of the others in turn: with thousands in work, a commit that nobody announced is seen
    some reads later.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._commits: dict[tuple[str, Stage], dict[int, Commit]] = {}
        self._open: dict[tuple[str, Stage], dict[int, None]] = {}  # looked at and not done, those longest ago first
        self._gone: dict[tuple[str, Stage], set[int]] = {}  # dropped, and not committed when last looked at
        self._hinted: dict[tuple[str, Stage], set[int]] = {}
        self._lock = threading.Lock()

    def hint(self, run_id: str, stage: Stage, shard: int) -> None:
        """Somebody says that the shard is committed: the next read looks."""
        self._hinted.setdefault((run_id, stage), set()).add(shard)

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
        grouping = self.known(spec, Stage.GROUPING).get(0)
        return RunFacts(
            run_id=spec.run_id,
            shards=None if grouping is None else grouping.counts["shards"],
            stages=stages,
            cancelled=self._store.exists(keys.run_cancelled(spec.run_id)),
            inherited=inherited_stages(spec),
        )

    def commits(self, spec: RunSpec, stage: Stage) -> Mapping[int, Commit]:
        """The commits of one stage by shard, those of an inherited stage from the parent."""
        with self._lock:
            return dict(sorted(self._read_on(spec, stage).items()))

    def known(self, spec: RunSpec, stage: Stage) -> Mapping[int, Commit]:
        """The same as of the last read, without another look."""
        with self._lock:
            return dict(self._commits.get((ledger_of(self._store, spec, stage).run_id, stage), {}))

    def _read_on(self, spec: RunSpec, stage: Stage) -> Mapping[int, Commit]:
        ledger = ledger_of(self._store, spec, stage)
        key = (ledger.run_id, stage)
        known, waiting = self._commits.setdefault(key, {}), self._open.setdefault(key, {})
        if stage in SHARDED and len(known) == self._all(ledger.run_id):
            return known  # nothing can come any more
        gone = self._gone.setdefault(key, set())
        hinted = self._hinted.pop(key, set())
        unknown = [shard for shard in self._shards(ledger.run_id, stage) if shard not in known]
        turn = set(list(waiting)[:_LOOKS])
        due = [shard for shard in unknown if shard not in waiting or shard in turn or shard in hinted]
        own = ledger.run_id == spec.run_id
        for shard, (commit, dropped) in zip(due, _IO.map(partial(self._look, ledger, stage, own), due), strict=True):
            waiting.pop(shard, None)
            if commit is not None:
                known[shard] = commit
                continue
            waiting[shard] = None
            if dropped:
                gone.add(shard)
        return known

    def _all(self, run_id: str) -> int | None:
        """The shards of a run, once they are known."""
        grouping = self._commits.get((run_id, Stage.GROUPING), {}).get(0)
        return None if grouping is None else grouping.counts["shards"]

    def _look(self, ledger: Ledger, stage: Stage, own: bool, shard: int) -> tuple[Commit | None, bool]:
        """The shard's commit, and whether somebody dropped it instead."""
        commit = ledger.find(stage, shard)
        dropped = commit is None and own and self._store.exists(keys.dead_shard(ledger.run_id, stage, shard))
        return commit, dropped

    def forget(self, run_id: str) -> None:
        """Drops what is remembered of a run that has ended."""
        for stage in Stage:
            key = (run_id, stage)
            for kept in (self._commits, self._open, self._gone, self._hinted):
                kept.pop(key, None)

    def _unjudged(self, spec: RunSpec) -> frozenset[int]:
        """Shards whose candidates the parent never judged, so that there are no scores to judge by anew."""
        judged = self._shards(spec.parent_run_id, Stage.FILTERING)
        return frozenset(self.commits(spec, Stage.EXPERTS).keys() - set(judged))

    def _shards(self, run_id: str, stage: Stage) -> list[int]:
        return [int(name) for name in self._store.folders(keys.stage(run_id, stage)) if name.isdecimal()]

    def _dropped(self, spec: RunSpec, stage: Stage) -> set[int]:
        return set() if stage in inherited_stages(spec) else set(self._gone.get((spec.run_id, stage), ()))
