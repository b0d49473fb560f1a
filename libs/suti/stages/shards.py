"""Which shards want doing: the one decision that keeps runs moving, pure and made anew every time.

The answer depends on nothing but what the ledger and the dead letters say, so any replica may ask at any time and
after any loss of the broker.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from suti.core.records import Stage

# Stages that do the grouped shards one by one; a shard keeps its index through all of them.
SHARDED = (Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS, Stage.FILTERING)


class RunState(StrEnum):
    """How a run stands; the last four are how it may end."""

    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    EMPTY = "EMPTY"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What is known of one stage: the counts of committed shards, and shards that were given up.

    `dead` are those whose data is bad, or that somebody dropped: the run goes on without. `held` are those whose dead
    letter waits for somebody to replay or drop it.
    """

    committed: Mapping[int, Mapping[str, int]] = field(default_factory=dict[int, Mapping[str, int]])
    dead: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()

    def count(self, name: str) -> int:
        """The sum of one count over the committed shards."""
        return sum(counts.get(name, 0) for counts in self.committed.values())


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run. `shards` is None until grouping is committed; `inherited` stages are the parent's."""

    run_id: str
    shards: int | None
    stages: Mapping[Stage, StageFacts]
    cancelled: bool = False
    inherited: frozenset[Stage] = frozenset()

    def of(self, stage: Stage) -> StageFacts:
        """What is known of one stage, nothing if nothing is."""
        return self.stages.get(stage, StageFacts())


@dataclass(frozen=True, slots=True)
class Survey:
    """How one stage stands. Shards that nothing reached, and those behind a dead one, are expected no more."""

    expected: frozenset[int]  # may yet be asked for, or were; an upper bound until the stage before is settled
    done: frozenset[int]
    dead: frozenset[int]
    held: frozenset[int]  # given up until somebody replays or drops its letter
    open: frozenset[int]  # may be worked on now
    settled: bool  # every shard that will ever come is done or dead
    known: bool  # whether `expected` is known at all


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends. `stage` is None where no stage is to blame."""

    state: RunState
    stage: Stage | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One shard that wants doing."""

    stage: Stage
    shard: int


def survey(facts: RunFacts) -> dict[Stage, Survey]:
    """How every stage stands, in order."""
    grouping = _survey(facts.of(Stage.GROUPING), ready={0}, expected={0}, before_settled=True, known=True)
    stages = {Stage.GROUPING: grouping}
    ready = set(range(facts.shards or 0))
    settled, expected = bool(grouping.done), set(ready)
    for stage in SHARDED:
        known = facts.shards is not None
        one = _survey(_final(facts, stage, ready), ready=ready, expected=expected, before_settled=settled, known=known)
        stages[stage] = one
        ready = {shard for shard in one.done if facts.of(stage).committed[shard].get("items_out", 0) > 0}
        expected = set(ready) if one.settled else set(ready | one.open | (expected - one.done - one.dead))
        settled = one.settled
    enough = settled and bool(facts.of(Stage.FILTERING).count("items_out"))
    stages[Stage.APPRENTICE] = _survey(
        facts.of(Stage.APPRENTICE), ready={0} if enough else set(), expected={0}, before_settled=enough, known=True
    )
    return stages


def next_tickets(facts: RunFacts) -> Sequence[Wanted] | Ending:
    """What to ask workers for now, or how the run ends. Equal facts give equal answers."""
    if facts.cancelled:
        return Ending(RunState.CANCELLED, message="somebody asked for it: what is committed stays")
    stages = survey(facts)
    for stage, one in stages.items():
        if (ending := _ending(stage, one, facts)) is not None:
            return ending
    # Later stages first: a run that shares workers with others finishes what it began.
    return [Wanted(stage, shard) for stage, one in reversed(stages.items()) for shard in sorted(one.open)]


def _final(facts: RunFacts, stage: Stage, ready: set[int]) -> StageFacts:
    """The stage's facts; what an inherited stage has no commit of will never come."""
    own = facts.of(stage)
    return StageFacts(own.committed, frozenset(ready)) if stage in facts.inherited else own


def _survey(facts: StageFacts, *, ready: set[int], expected: set[int], before_settled: bool, known: bool) -> Survey:
    done = ready & facts.committed.keys()
    dead = (ready & facts.dead) - done
    held = (ready & facts.held) - done - dead
    left = ready - done - dead - held
    return Survey(
        expected=frozenset(expected),
        done=frozenset(done),
        dead=frozenset(dead),
        held=frozenset(held),
        open=frozenset(left),
        settled=before_settled and not left and not held,
        known=known,
    )


def _ending(stage: Stage, one: Survey, facts: RunFacts) -> Ending | None:
    if not one.settled:
        return None
    if not one.done:
        return Ending(
            RunState.FAILED,
            stage,
            "STAGE_DEAD",
            f"{stage}: all of its {len(one.dead)} shards are dead: their data is bad, or they were dropped; "
            "`suti dead list` says why; correct the cause and start a new run",
        )
    if stage is Stage.APPRENTICE:
        return Ending(RunState.SUCCEEDED)
    counts = facts.of(stage)
    nothing = facts.shards == 0 if stage is Stage.GROUPING else counts.count("items_out") == 0
    if not nothing:
        return None
    read, dropped = counts.count("items_in"), counts.count("dropped")
    dead = f", {len(one.dead)} shards are dead" if one.dead else ""
    return Ending(
        RunState.EMPTY,
        stage,
        "NOTHING_LEFT",
        f"{stage} let nothing through: {read} items in, 0 out, {dropped} dropped{dead}; "
        "`suti run audit` counts the reasons, overrides of this stage's recipe may be gentler",
    )
