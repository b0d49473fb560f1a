"""The pipeline service as a process, with a real NATS server, a real store and the typed client."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.inputs import run_order
from suti.core.errors import PermanentError, SutiError
from suti.core.ids import new_request_id
from suti.core.records import Stage
from suti.infra.bus.tickets import ShardTicket
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from tests.system.pipeline_stack import PipelineProcess, Shards, running_pipeline, workers

ENDS_S = 120.0
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[PipelineProcess]:
    """One service and one NATS server for all tests of this file."""
    with running_pipeline(tmp_path_factory.mktemp("pipeline")) as process:
        yield process


@pytest.fixture
def pipeline(service: PipelineProcess) -> Generator[PipelineProcess]:
    """The service; what a test leaves running is cancelled after it."""
    yield service
    with service.client() as suti:
        for run in list(suti.list_runs(state=pb.RUN_STATE_RUNNING)):
            suti.cancel_run(run.run_id)


@pytest.fixture
def shards(pipeline: PipelineProcess) -> Shards:
    return Shards(pipeline.store)


def start(pipeline: PipelineProcess, **changes: object) -> pb.Run:
    order = run_order(str(pipeline.order_files()), preset="toy", changes=changes or None)
    with pipeline.client() as suti:
        return suti.create_run(order, created_by="a test")


async def ended(pipeline: PipelineProcess, run_id: str) -> pb.Run:
    """The run after its end."""

    def watch() -> pb.Run:
        with pipeline.client() as suti:
            return [answer.run for answer in suti.watch_run(run_id, interval_s=0.1)][-1]

    return await asyncio.wait_for(asyncio.to_thread(watch), ENDS_S)


def stage(run: pb.Run, wanted: Stage) -> pb.StageProgress:
    return run.stages[list(Stage).index(wanted)]


async def test_a_run_goes_from_its_crawl_to_an_apprentice(pipeline: PipelineProcess, shards: Shards) -> None:
    run = start(pipeline, experts={"steps": 7})
    assert run.state == pb.RUN_STATE_RUNNING
    assert MessageToDict(run.order.overrides) == {"experts": {"steps": 7}}

    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run.run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED, run.outcome
    assert len(run.outcome.dataset_digest) == len(run.outcome.apprentice_sha256) == 64
    counts = [(s.shards_committed, s.shards_total, s.items_in, s.items_out) for s in run.stages]
    assert counts == [(1, 1, 20, 18), (2, 2, 6, 4), (2, 2, 4, 4), (2, 2, 4, 4), (2, 2, 8, 4), (1, 1, 4, 1)]
    assert dict(stage(run, Stage.SELECTION).dropped) == {"CLUSTER_TOO_DISSIMILAR": 2}
    assert dict(stage(run, Stage.FILTERING).dropped) == {"GAIN_TOO_LOW": 4}
    assert len(shards.handled) == 1 + 2 * 4 + 1  # each shard once


async def test_equal_runs_end_with_equal_digests(pipeline: PipelineProcess, shards: Shards) -> None:
    async with workers(pipeline.nats, shards):
        first = await ended(pipeline, start(pipeline).run_id)
        second = await ended(pipeline, start(pipeline).run_id)

    assert first.run_id != second.run_id
    assert first.outcome.dataset_digest == second.outcome.dataset_digest
    assert first.outcome.apprentice_sha256 == second.outcome.apprentice_sha256


async def test_a_call_that_is_sent_twice_makes_one_run_and_another_body_is_refused(pipeline: PipelineProcess) -> None:
    order = run_order(str(pipeline.order_files()), preset="toy")
    request_id = new_request_id()
    with pipeline.client() as suti:
        first = suti.create_run(order, request_id=request_id)
        assert suti.create_run(order, request_id=request_id).run_id == first.run_id
        with pytest.raises(SutiError) as refusal:
            suti.create_run(run_order(order.input.url, preset="toy", seed=5), request_id=request_id)
        assert refusal.value.reason == "REQUEST_ID_REUSED"
        assert [run.run_id for run in suti.list_runs()].count(first.run_id) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crawl": "/no/such.warc"}, "CRAWL_MISSING"),
        ({"crawl": "s3://of-others/crawl.warc"}, "CRAWL_NOT_OFFERED"),
        ({"base": "nobody"}, "UNKNOWN_MODEL"),
        ({"changes": {"experts": {"stepz": 1}}}, "BAD_OVERRIDE"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_with_its_reason(
    pipeline: PipelineProcess, change: dict[str, object], reason: str
) -> None:
    fields: dict[str, object] = {"crawl": str(pipeline.order_files()), "preset": "toy", **change}
    crawl = fields.pop("crawl")
    with pipeline.client() as suti, pytest.raises(PermanentError) as refusal:
        suti.create_run(run_order(str(crawl), **fields))  # pyright: ignore[reportArgumentType] - plain test data
    assert refusal.value.reason == reason


async def test_a_stage_that_lets_nothing_through_ends_the_run_as_empty(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    shards.keep = False
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, start(pipeline).run_id)

    assert run.outcome.state == pb.RUN_STATE_EMPTY
    assert pb.StageProgress(stage=run.outcome.stage).stage == stage(run, Stage.SELECTION).stage
    assert "6 items in, 0 out, 6 dropped" in run.outcome.message


async def test_cancelling_takes_effect_within_seconds_and_is_harmless_twice(pipeline: PipelineProcess) -> None:
    run = start(pipeline)
    with pipeline.client() as suti:
        suti.cancel_run(run.run_id, reason="changed my mind")
        run = await asyncio.wait_for(ended(pipeline, run.run_id), 10.0)
        assert run.state == pb.RUN_STATE_CANCELLED
        assert suti.cancel_run(run.run_id).state == pb.RUN_STATE_CANCELLED


async def test_a_dead_shard_is_listed_and_the_run_goes_on_without_it(pipeline: PipelineProcess, shards: Shards) -> None:
    def refuse(ticket: ShardTicket) -> None:
        if (ticket.stage, ticket.shard) == ("captioning", 1):
            raise PermanentError("this shard is no good: leave it")

    shards.fail = refuse
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, start(pipeline).run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert [s.shards_dead for s in run.stages] == [0, 0, 1, 0, 0, 0]
    with pipeline.client() as suti:
        (letter,) = suti.list_dead_letters(run_id=run.run_id)
        assert (letter.reason, letter.shard) == ("INVALID", 1)
        assert list(suti.drop_dead_letters([letter.letter_id]).letter_ids) == [letter.letter_id]
        assert suti.get_run(run.run_id).stages[2].shards_dead == 1


async def test_a_dead_letter_that_is_replayed_is_worked_on_again(pipeline: PipelineProcess, shards: Shards) -> None:
    healed: list[bool] = []

    def refuse(ticket: ShardTicket) -> None:
        if ticket.stage == "captioning" and ticket.shard == 1 and not healed:
            raise PermanentError("not yet: replay it")

    shards.fail = refuse
    run = start(pipeline)
    async with workers(pipeline.nats, shards, stages=(Stage.GROUPING, Stage.SELECTION, Stage.CAPTIONING)):
        with pipeline.client() as suti:
            letters: list[pb.DeadLetter] = []
            while not letters:
                await asyncio.sleep(0.1)
                letters = list(suti.list_dead_letters(run_id=run.run_id))
            healed.append(True)
            assert suti.replay_dead_letters([letters[0].letter_id]).letter_ids == [letters[0].letter_id]
            assert list(suti.list_dead_letters(run_id=run.run_id)) == []
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run.run_id)

    assert [s.shards_dead for s in run.stages] == [0] * 6
    assert run.state == pb.RUN_STATE_SUCCEEDED


async def test_a_wiped_nats_server_in_the_middle_of_a_run_loses_nothing(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    run = start(pipeline)
    async with workers(pipeline.nats, shards, stages=(Stage.GROUPING, Stage.SELECTION)):
        await _committed(pipeline.store, run.run_id, Stage.SELECTION, 2)

    pipeline.nats.kill()
    pipeline.nats.wipe()
    pipeline.nats.start()

    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run.run_id)
    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert len(shards.handled) == 10


async def test_a_killed_pipeline_service_takes_its_runs_up_again(pipeline: PipelineProcess, shards: Shards) -> None:
    run = start(pipeline)
    pipeline.kill()
    pipeline.start()

    async with workers(pipeline.nats, shards):
        assert (await ended(pipeline, run.run_id)).state == pb.RUN_STATE_SUCCEEDED


async def test_a_run_without_workers_says_which_service_is_missing(pipeline: PipelineProcess) -> None:
    run = start(pipeline)
    with pipeline.client() as suti:
        answer = suti.explain_run(run.run_id)
        while answer.stages[0].waits_for != pb.WAIT_REASON_NO_WORKER or not answer.stages[0].tickets_queued:
            await asyncio.sleep(0.1)
            answer = suti.explain_run(run.run_id)

    assert "start suti_clustering" in answer.headline
    assert answer.stages[1].waits_for == pb.WAIT_REASON_EARLIER_STAGE
    assert answer.stages[0].tickets_queued == 1


async def test_a_replayed_filter_is_a_child_run_that_draws_nothing_again(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    async with workers(pipeline.nats, shards):
        parent = await ended(pipeline, start(pipeline).run_id)
        shards.handled.clear()
        with pipeline.client() as suti:
            child = await ended(pipeline, suti.replay_filter(parent.run_id, min_gain=-1.0).run_id)
            same = await ended(pipeline, suti.replay_filter(child.run_id, min_gain=0.0).run_id)

    assert (child.state, child.parent_run_id) == (pb.RUN_STATE_SUCCEEDED, parent.run_id)
    assert [s.state for s in child.stages[:4]] == [pb.STAGE_STATE_INHERITED] * 4
    assert stage(child, Stage.FILTERING).items_out == 8
    assert {ticket.stage for ticket in shards.handled} == {"filtering", "apprentice"}
    assert child.outcome.dataset_digest != parent.outcome.dataset_digest
    assert same.parent_run_id == parent.run_id
    assert same.outcome.dataset_digest == parent.outcome.dataset_digest


async def test_a_run_that_has_not_judged_its_candidates_cannot_be_replayed(pipeline: PipelineProcess) -> None:
    run = start(pipeline)
    with pipeline.client() as suti, pytest.raises(PermanentError) as refusal:
        suti.replay_filter(run.run_id, min_gain=0.0)
    assert refusal.value.reason == "PARENT_NOT_FILTERED"


async def test_the_audit_finds_every_item_once_and_plan_and_provenance_answer(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, start(pipeline).run_id)
    with pipeline.client() as suti:
        audit = suti.audit_run(run.run_id)
        back = suti.get_provenance("checkpoint_id", run.outcome.apprentice_sha256, run_id=run.run_id)
        forward = suti.get_provenance("source_url", "https://example.org/0/0", forward=True, run_id=run.run_id)
        gone = suti.get_provenance("source_url", "https://EXAMPLE.org/poor#top", forward=True, run_id=run.run_id)
        plan = suti.plan_run(run_order(str(pipeline.order_files()), preset="toy"))

    assert (audit.sound, audit.complete) == (True, True), audit
    assert [(s.items_in, s.items_out, s.open) for s in audit.stages[1:5]] == [
        (6, 4, 0),
        (4, 4, 0),
        (4, 4, 0),
        (8, 4, 0),
    ]
    kinds = Counter(node.kind for node in back.nodes)
    assert {kind: kinds[kind] for kind in ("checkpoint", "example", "candidate", "expert", "cluster")} == {
        "checkpoint": 1,
        "example": 4,
        "candidate": 4,
        "expert": 4,
        "cluster": 4,
    }
    assert kinds["source"] == 4 * 3 + 4  # three pictures of each cluster, and its page
    assert "checkpoint" in {node.kind for node in forward.nodes}
    assert Counter(node.kind for node in forward.nodes)["cluster"] == 1
    assert dict(gone.nodes[0].facts) == {"page dropped": "PAGE_TOO_FEW_PICTURES"}
    assert "will end as EMPTY" in plan.warnings[0]


async def _committed(store: Store, run_id: str, stage: Stage, count: int) -> None:
    async with asyncio.timeout(ENDS_S):
        while len(Ledger(store, run_id).commits(stage)) < count:  # noqa: ASYNC110 - the store rings no bell
            await asyncio.sleep(0.05)


def test_what_somebody_wants_out_is_listed_with_its_reason_until_it_is_taken_back(pipeline: PipelineProcess) -> None:
    request_id, url = new_request_id(), "HTTPS://Shop.example/a#b"
    with pipeline.client() as suti:
        made, again = (
            suti.create_tombstone(urls=[url], why="ticket 7", created_by="ann", request_id=request_id) for _ in range(2)
        )
        listed = list(suti.list_tombstones())
        suti.delete_tombstone(made.tombstone_id)
        left = list(suti.list_tombstones())
        with pytest.raises(SutiError, match="no tombstone"):
            suti.delete_tombstone(made.tombstone_id)

    assert again == made
    assert [list(one.urls) for one in listed] == [["https://shop.example/a"]]
    assert (listed[0].why, listed[0].created_by) == ("ticket 7", "ann")
    assert left == []


def test_the_readmes_python_lists_the_runs(pipeline: PipelineProcess, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "suti-data").mkdir()
    (tmp_path / "suti-data" / "endpoints.json").write_text(json.dumps({"pipeline": pipeline.address}))
    run = start(pipeline)

    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert run.run_id in done.stdout
