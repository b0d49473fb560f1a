"""Why a run is where it is: what each stage waits for, in words."""

from collections import Counter
from collections.abc import Mapping, Sequence

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.core.records import Stage
from suti.infra.bus.connection import QueueState
from suti.infra.dead_letters import DeadLetter
from suti.stages.run_view import RunView, StageState, StageView
from suti.stages.shards import RunState
from suti_pipeline import convert

_MOST = 100
_MOST_WAITS = 3
# Which service takes a stage's tickets.
SERVICE: Mapping[Stage, str] = {
    Stage.GROUPING: "clustering",
    Stage.SELECTION: "clustering",
    Stage.CAPTIONING: "captioning",
    Stage.EXPERTS: "experts",
    Stage.FILTERING: "filtering",
    Stage.APPRENTICE: "apprentice",
}
# Stages whose workers launch jobs: each holds many tickets, and asks for more all the while.
_LAUNCHED = frozenset({Stage.EXPERTS, Stage.APPRENTICE})
_HOLDS_UP = (pb.WAIT_REASON_NO_WORKER, pb.WAIT_REASON_DEAD_LETTERS, pb.WAIT_REASON_QUEUE, pb.WAIT_REASON_AT_WORK)


def explain(
    view: RunView,
    queues: Mapping[Stage, QueueState],
    letters: Sequence[DeadLetter],
    *,
    waiting: Mapping[tuple[str, str, int], str] | None = None,
) -> pb.ExplainRunResponse:
    """What each stage of the run waits for, and the one that holds it up.

    Args:
        view: The run.
        queues: The stages' tickets.
        letters: The run's dead letters.
        waiting: What shards wait for, by run, stage and shard, as launchers and workers said last.
    """
    stages = [
        _stage(view, stage, queues.get(stage.stage, QueueState(waiting=0, working=0)), letters, waiting or {})
        for stage in view.stages
    ]
    return pb.ExplainRunResponse(
        state=convert.state_to_proto(view.state), headline=_headline(view, stages), stages=stages
    )


def _stage(
    view: RunView,
    stage: StageView,
    queue: QueueState,
    letters: Sequence[DeadLetter],
    waiting: Mapping[tuple[str, str, int], str],
) -> pb.StageExplanation:
    own = [letter.letter_id for letter in letters if letter.stage == stage.stage]
    reason, message = _reason(view, stage, queue)
    if reason in (pb.WAIT_REASON_AT_WORK, pb.WAIT_REASON_QUEUE):
        message += _jobs_wait(
            [waiting.get((view.spec.run_id, stage.stage, shard), "") for shard in sorted(stage.survey.open)]
        )
    return pb.StageExplanation(
        stage=convert.stage_to_proto(stage.stage),
        state=pb.StageState.Value(f"STAGE_STATE_{stage.state.value}"),
        waits_for=reason,
        message=message,
        tickets_queued=queue.waiting,
        workers=_workers(stage.stage, queue),
        open_shards=sorted(stage.survey.expected - stage.survey.done - stage.survey.dead)[:_MOST],
        dead_letter_ids=own[:_MOST],
    )


def _reason(view: RunView, stage: StageView, queue: QueueState) -> "tuple[pb.WaitReason.ValueType, str]":
    one = stage.survey
    dead = f"; {len(one.dead)} are dead (`suti dead list --run {view.spec.run_id}`)" if one.dead else ""
    held = f"; {len(one.held)} were given up (`suti dead list --run {view.spec.run_id}`)" if one.held else ""
    done = f"{len(one.done)} of {stage.shards_total} shards are done{dead}{held}"
    if view.outcome is not None:
        return pb.WAIT_REASON_NOTHING, f"the run is over; {done}"
    if stage.state is StageState.INHERITED:
        return pb.WAIT_REASON_NOTHING, f"taken from run {view.spec.parent_run_id}"
    if one.open:
        return _open(stage, queue, done)
    if one.held:
        return (
            pb.WAIT_REASON_DEAD_LETTERS,
            f"{done}: correct the cause and replay them (`suti dead replay`), or go on without (`suti dead drop`)",
        )
    if one.settled:
        return pb.WAIT_REASON_NOTHING, done
    before = list(Stage)[list(Stage).index(stage.stage) - 1]
    return pb.WAIT_REASON_EARLIER_STAGE, f"waits for {before}; {done}" if one.done else f"waits for {before}"


def _open(stage: StageView, queue: QueueState, done: str) -> "tuple[pb.WaitReason.ValueType, str]":
    service = SERVICE[stage.stage]
    if queue.working:
        share = f", {stage.fraction_open:.0%} of the stage in hand" if stage.fraction_open else ""
        return pb.WAIT_REASON_AT_WORK, f"suti_{service} works on {queue.working} tickets, of all runs{share}; {done}"
    if not queue.idle:
        return (
            pb.WAIT_REASON_NO_WORKER,
            f"{queue.waiting} tickets (of all runs) wait and no worker is connected: start suti_{service}; {done}",
        )
    return (
        pb.WAIT_REASON_QUEUE,
        f"{queue.waiting} tickets (of all runs) are about to be taken by suti_{service}; {done}",
    )


def _workers(stage: Stage, queue: QueueState) -> int:
    """As far as the broker knows: it sees those that ask for a ticket, and tickets in work."""
    if stage in _LAUNCHED:
        return max(queue.idle, min(queue.working, 1))
    return queue.idle + queue.working


def _jobs_wait(words: Sequence[str]) -> str:
    """What shards wait for, the commonest first; empty if none does."""
    told = Counter(filter(None, words))
    return "".join(f"; {count} of its shards: {why}" for why, count in told.most_common(_MOST_WAITS))


def _headline(view: RunView, stages: Sequence[pb.StageExplanation]) -> str:
    if view.outcome is not None:
        return f"The run is over: {view.outcome.state}. {view.outcome.message}".strip()
    if view.state is RunState.CANCELLING:
        return "The run is being cancelled: workers are laying down their work."
    for reason in _HOLDS_UP:
        for view_stage, stage in zip(view.stages, stages, strict=True):
            if stage.waits_for == reason:
                return f"{view_stage.stage}: {stage.message}"
    return "The next tickets are about to be issued."
