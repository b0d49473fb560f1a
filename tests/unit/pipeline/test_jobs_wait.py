"""What jobs wait for on a cluster stands in the explanation of their run."""

from datetime import UTC, datetime, timedelta

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import STAGE_CAPTIONING, STAGE_EXPERTS
from suti.core.records import Stage
from suti.infra.bus.connection import QueueState
from suti.stages.run_spec import RunSpec
from suti.stages.run_view import RunView, StageState, StageView
from suti.stages.shards import RunFacts, RunState, StageFacts, survey
from suti_pipeline.explain import explain

GPU = "no node fits: not enough nvidia.com/gpu on 3 of 3 nodes, even if they were empty: ask for less"


def committed(*shards: int) -> StageFacts:
    return StageFacts(committed={shard: {"items_in": 5, "items_out": 2, "dropped": 3} for shard in shards})


def view() -> RunView:
    before = (Stage.SELECTION, Stage.CAPTIONING)
    facts = RunFacts(
        "01RUN", shards=3, stages={Stage.GROUPING: committed(0), **{stage: committed(0, 1, 2) for stage in before}}
    )
    stages = [
        StageView(stage, StageState.RUNNING, one, 3, 0, 0, {}, 0.0, timedelta()) for stage, one in survey(facts).items()
    ]
    spec = RunSpec.model_construct(run_id="01RUN", created_at=datetime.now(UTC))
    return RunView(spec=spec, state=RunState.RUNNING, facts=facts, stages=stages, outcome=None)


def experts(explained: pb.ExplainRunResponse) -> str:
    (stage,) = [one for one in explained.stages if one.stage == STAGE_EXPERTS]
    return stage.message


def test_the_commonest_reason_of_waiting_jobs_is_told_with_their_number() -> None:
    queues = {Stage.EXPERTS: QueueState(waiting=0, working=3)}
    waiting = {("01RUN", "experts", shard): GPU for shard in (0, 2)} | {("other", "experts", 1): "its own"}

    told = experts(explain(view(), queues, [], waiting=waiting))

    assert told.endswith(f"; 2 of its shards: {GPU}")
    assert "its own" not in told


def test_why_a_ticket_is_tried_again_is_told_while_it_waits_for_its_next_try() -> None:
    failed = "try 3 failed and is repeated (CRAWL_UNREADABLE: nothing is there)"

    told = experts(
        explain(
            view(),
            {Stage.EXPERTS: QueueState(waiting=1, working=0, idle=1)},
            [],
            waiting={("01RUN", "experts", 1): failed},
        )
    )

    assert told.endswith(f"; 1 of its shards: {failed}")


def test_a_launcher_that_holds_many_tickets_is_one_worker() -> None:
    queues = {stage: QueueState(waiting=0, working=3, idle=1) for stage in (Stage.EXPERTS, Stage.CAPTIONING)}

    workers = {stage.stage: stage.workers for stage in explain(view(), queues, []).stages}

    assert workers[STAGE_EXPERTS] == 1
    assert workers[STAGE_CAPTIONING] == 4


def test_nothing_is_added_where_no_job_waits() -> None:
    queues = {Stage.EXPERTS: QueueState(waiting=0, working=3)}

    assert "of its shards" not in experts(explain(view(), queues, []))
