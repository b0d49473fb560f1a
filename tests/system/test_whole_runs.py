"""Miniature runs through every service as a real process: undisturbed, with every worker killed, cancelled."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence

import pytest

from suti.api.clustering.v1.clustering_pb2 import CLUSTER_STATE_DROPPED, CLUSTER_STATE_KEPT
from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.endpoints import Service
from suti.client.inputs import demonstration
from suti.core import keys
from suti.core.records import CandidateRow, ExampleRow, Stage, VerdictRow
from suti.infra.bus.connection import Bus
from suti.infra.ledger import Ledger
from suti.infra.tables import from_parquet
from tests.system.workers_stack import ENDS_S, MINIATURE, Stack, running
from tests.unit.stages.shards import noise, png

CANCELLED_WITHIN_S = 20.0
SEED = 11

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """All services, for all tests of this file: to start them takes as long as a run."""
    with running(tmp_path_factory.mktemp("whole")) as stack:
        yield stack


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> Sequence[pb.Run]:
    """The same run twice, side by side."""
    return [stack.ended(run_id) for run_id in [stack.begin(seed=SEED) for _ in range(2)]]


def becomes(condition: Callable[[], bool], *, limit_s: float = ENDS_S) -> None:
    """Waits until it is so."""
    give_up = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def holds_a_ticket(stack: Stack, stage: Stage) -> bool:
    """Whether a worker of the stage works on a shard just now."""

    async def look() -> bool:
        async with await Bus.connect(stack.nats.url, name="test") as bus:
            return (await bus.queue_state(stage)).working > 0

    return asyncio.run(look())


def kill_in_work(stack: Stack, run_id: str, service: Service, stage: Stage) -> None:
    """Kills the service while it has a ticket of the stage (if it is not done with all of them), starts it again."""
    ledger = Ledger(stack.store, run_id)
    becomes(lambda: holds_a_ticket(stack, stage) or bool(ledger.commits(stage)))
    stack.kill(service)
    stack.launch(service)


def scratch_has(stack: Stack, run_id: str, stage: Stage, ending: str) -> bool:
    """Whether something unfinished of the stage is kept."""
    found = stack.store.list(keys.stage(run_id, stage))
    return any("/scratch/" in info.key and info.key.endswith(ending) for info in found)


def kill_every_worker(stack: Stack, run_id: str) -> list[str]:
    """Kills each of them once, and says which jobs it met alive."""
    killed: list[str] = []
    kill_in_work(stack, run_id, Service.CLUSTERING, Stage.GROUPING)
    kill_in_work(stack, run_id, Service.CLUSTERING, Stage.SELECTION)
    kill_in_work(stack, run_id, Service.CAPTIONING, Stage.CAPTIONING)
    becomes(lambda: scratch_has(stack, run_id, Stage.EXPERTS, ".tar") or bool(_commits(stack, run_id, Stage.EXPERTS)))
    if stack.kill_job("suti_experts.job"):
        killed.append("suti_experts.job")
    kill_in_work(stack, run_id, Service.EXPERTS, Stage.EXPERTS)
    kill_in_work(stack, run_id, Service.FILTERING, Stage.FILTERING)
    kill_in_work(stack, run_id, Service.APPRENTICE, Stage.APPRENTICE)
    becomes(
        lambda: (
            scratch_has(stack, run_id, Stage.APPRENTICE, ".safetensors")
            or bool(_commits(stack, run_id, Stage.APPRENTICE))
        )
    )
    if stack.kill_job("suti_apprentice.job"):
        killed.append("suti_apprentice.job")
    return killed


def test_a_run_goes_from_its_crawl_to_an_apprentice_through_every_service(
    stack: Stack, undisturbed: Sequence[pb.Run]
) -> None:
    run = undisturbed[0]

    assert run.outcome.state == pb.RUN_STATE_SUCCEEDED, run
    ledger = Ledger(stack.store, run.run_id)
    shards = ledger.get(Stage.GROUPING, 0).counts["shards"]
    assert shards >= 2
    for stage in (Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS, Stage.FILTERING):
        assert [commit.shard for commit in ledger.commits(stage)] == list(range(shards))
    assert len(run.outcome.dataset_digest) == len(run.outcome.apprentice_sha256) == 64


def test_a_cancelled_run_has_no_job_left_within_seconds(stack: Stack) -> None:
    run_id = stack.begin(experts={**MINIATURE["experts"], "steps": 1_000_000})
    becomes(lambda: bool(stack.jobs_running()))

    with stack.client() as suti:
        suti.cancel_run(run_id, reason="a test")
    becomes(lambda: not stack.jobs_running(), limit_s=CANCELLED_WITHIN_S)

    assert stack.ended(run_id).outcome.state == pb.RUN_STATE_CANCELLED


def test_clusters_checkpoints_and_promotions_can_be_asked_for(stack: Stack, undisturbed: Sequence[pb.Run]) -> None:
    run = undisturbed[0]

    with stack.client() as suti:
        clusters = list(suti.list_clusters(run.run_id))
        whole = suti.get_cluster(run.run_id, clusters[0].cluster_id, with_pixels=True)
        checkpoint = next(iter(suti.list_checkpoints(run_id=run.run_id)))
        promoted = suti.promote_checkpoint(checkpoint.checkpoint_id, created_by="a test")
        training = suti.start_training(run.run_id).wait(timeout_s=60)

    assert {cluster.state for cluster in clusters} <= {CLUSTER_STATE_KEPT, CLUSTER_STATE_DROPPED}
    assert whole.pictures[0].picture.content.startswith(b"\x89PNG")
    assert checkpoint.checkpoint_id == run.outcome.apprentice_sha256
    assert checkpoint.dataset_digest == run.outcome.dataset_digest
    assert (promoted.promoted, promoted.promoted_by) == (True, "a test")
    assert training.checkpoint.checkpoint_id == checkpoint.checkpoint_id


def test_an_expert_can_be_tuned_and_candidates_judged_by_call(stack: Stack) -> None:
    shown = [demonstration(png(noise(seed)), "a cup") for seed in (1, 2, 3)]
    changes = {"steps": 2, "samples_per_prompt": 1, "sampling": {"steps": 2, "guidance": 1.0}}

    with stack.client() as suti:
        tuned = suti.tune_expert(shown, ["a cup at sea"], changes=changes).wait(timeout_s=ENDS_S)
        judged = suti.score_candidates(shown, [(png(noise(1)), "a cup"), (png(noise(9)), "a cup at sea")])
        captions = suti.caption_pictures([(png(noise(4)), "a red cup"), (b"no picture", "")])
        prompts = suti.propose_prompts(["a red cup on a table"], count=2, seed=3)

    assert [one.prompt for one in tuned.candidates] == ["a cup at sea"]
    assert tuned.steps == 2
    assert judged.verdicts[0].reason == "COPY_OF_DEMONSTRATION"
    assert captions.captions[0].text
    assert captions.captions[1].error_reason == "PICTURE_NOT_A_PICTURE"
    assert len(prompts.prompts) == 2


def test_a_run_with_every_worker_killed_ends_as_those_that_nobody_disturbed(
    stack: Stack, undisturbed: Sequence[pb.Run]
) -> None:
    run_id = stack.begin(seed=SEED)
    killed = kill_every_worker(stack, run_id)
    runs = [*undisturbed, stack.ended(run_id)]

    assert killed == ["suti_experts.job", "suti_apprentice.job"]
    assert [run.outcome.state for run in runs] == [pb.RUN_STATE_SUCCEEDED] * 3
    assert len({run.outcome.dataset_digest for run in runs}) == 1
    assert len({run.outcome.apprentice_sha256 for run in runs}) == 1
    nothing_is_lost_or_doubled(stack, run_id)


def nothing_is_lost_or_doubled(stack: Stack, run_id: str) -> None:
    """Each shard has one commit in each stage, and each candidate one verdict."""
    ledger = Ledger(stack.store, run_id)
    shards = ledger.get(Stage.GROUPING, 0).counts["shards"]
    for stage in (Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS, Stage.FILTERING):
        commits = ledger.commits(stage)
        assert [commit.shard for commit in commits] == list(range(shards))
        counts = [commit.counts for commit in commits]
        assert all(one["items_in"] == one["items_out"] + one["dropped"] for one in counts)
    drawn, judged, kept = Counter[str](), Counter[str](), Counter[str]()
    for shard in range(shards):
        experts, filtering = ledger.get(Stage.EXPERTS, shard), ledger.get(Stage.FILTERING, shard)
        drawn.update(
            row.candidate_id for row in from_parquet(ledger.read(experts.part("candidates.parquet")), CandidateRow)
        )
        judged.update(
            row.candidate_id for row in from_parquet(ledger.read(filtering.part("verdicts.parquet")), VerdictRow)
        )
        kept.update(
            row.candidate_id for row in from_parquet(ledger.read(filtering.part("examples.parquet")), ExampleRow)
        )
    assert drawn == judged
    assert set(drawn.values()) == {1}
    assert ledger.get(Stage.APPRENTICE, 0).counts["items_in"] == kept.total()


def _commits(stack: Stack, run_id: str, stage: Stage) -> list[int]:
    return [commit.shard for commit in Ledger(stack.store, run_id).commits(stage)]
