"""A run as people see it: state, stages, counts, times. Made anew from ledger and letters whenever asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from suti.core.errors import NotFound
from suti.core.records import Stage
from suti.infra.store import ObjectMissing, Store
from suti.stages.drop_counts import DropCounts
from suti.stages.facts import DeadShard, FactsReader
from suti.stages.outcome import RunOutcome, find_outcome
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.shards import RunFacts, RunState, Survey, survey
from suti.stages.stage_times import stage_times

# (run, stage, shard) -> share of the shard that is done, in [0, 1].
type OpenWork = Mapping[tuple[str, str, int], float]

_KEPT_VIEWS = 1_000


class StageState(StrEnum):
    """How one stage of a run stands."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    INHERITED = "INHERITED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class StageView:
    """How far one stage is. `shards_total` is 0 while it is not known."""

    stage: Stage
    state: StageState
    survey: Survey
    shards_total: int
    items_in: int
    items_out: int
    dropped: Mapping[str, int]
    fraction_open: float
    elapsed: timedelta


@dataclass(frozen=True, slots=True)
class RunView:
    """One run, whole."""

    spec: RunSpec
    state: RunState
    facts: RunFacts
    stages: Sequence[StageView]
    outcome: RunOutcome | None


class RunReader:
    """Reads runs for showing. Calls block; safe to share between threads."""

    def __init__(self, store: Store, facts: FactsReader | None = None, drops: DropCounts | None = None) -> None:
        self._store = store
        self._facts = facts or FactsReader(store)
        self._drops = drops or DropCounts(store)
        self._specs: dict[str, RunSpec] = {}
        self._ended: dict[str, RunView] = {}  # what has ended changes no more

    def spec(self, run_id: str) -> RunSpec:
        """The run's frozen description. Raises NotFound, RunSpecInvalid."""
        if run_id not in self._specs:
            self._specs[run_id] = find_run(self._store, run_id)
        return self._specs[run_id]

    def view(self, run_id: str, *, dead: Iterable[DeadShard] = (), work: OpenWork | None = None) -> RunView:
        """The run as it is now. Raises NotFound."""
        if (ended_view := self._ended.get(run_id)) is not None:
            return ended_view
        spec = self.spec(run_id)
        outcome = find_outcome(self._store, run_id)
        facts = self._facts.read(spec, dead=dead)
        commits = {stage: self._facts.known(spec, stage) for stage in Stage}
        times = stage_times(spec.created_at, commits)
        now = datetime.now(UTC)
        stages: list[StageView] = []
        for stage, one in survey(facts).items():
            state = _stage_state(stage, one, facts, ended=outcome is not None)
            dropped: Counter[str] = Counter()
            for commit in commits[stage].values():
                dropped.update(self._drops.of(commit))
            inherited = state is StageState.INHERITED
            ended = one.settled or outcome is not None
            stages.append(
                StageView(
                    stage=stage,
                    state=state,
                    survey=one,
                    shards_total=len(one.expected) if one.known else 0,
                    items_in=facts.of(stage).count("items_in"),
                    items_out=facts.of(stage).count("items_out"),
                    dropped=dict(dropped),
                    fraction_open=_fraction(run_id, stage, one, work or {}),
                    elapsed=timedelta() if inherited else times[stage].elapsed(now=now, ended=ended),
                )
            )
        view = RunView(spec=spec, state=_run_state(facts, outcome), facts=facts, stages=stages, outcome=outcome)
        if outcome is not None:
            self._facts.forget(run_id)
            self._ended[run_id] = view
            while len(self._ended) > _KEPT_VIEWS:
                self._ended.pop(next(iter(self._ended)), None)
        return view


def find_run(store: Store, run_id: str) -> RunSpec:
    """The run's frozen description. Raises NotFound, RunSpecInvalid."""
    if not run_id.isalnum():
        raise NotFound("run", run_id, remedy="see `suti run list`")
    try:
        return load_run_spec(store, run_id)
    except ObjectMissing as error:
        raise NotFound("run", run_id, remedy="see `suti run list`") from error


def _run_state(facts: RunFacts, outcome: RunOutcome | None) -> RunState:
    if outcome is not None:
        return outcome.state
    return RunState.CANCELLING if facts.cancelled else RunState.RUNNING


def _stage_state(stage: Stage, one: Survey, facts: RunFacts, *, ended: bool) -> StageState:
    if stage in facts.inherited:
        return StageState.INHERITED
    if one.settled and (one.done or one.dead):
        return StageState.DONE
    if ended:
        return StageState.SKIPPED
    return StageState.RUNNING if one.open or one.done or one.dead or one.held else StageState.WAITING


def _fraction(run_id: str, stage: Stage, one: Survey, work: OpenWork) -> float:
    if not one.open or not one.expected:
        return 0.0
    return sum(work.get((run_id, stage.value, shard), 0.0) for shard in one.open) / len(one.expected)
