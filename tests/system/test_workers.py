"""A miniature run through every service as a real process."""

import time
from collections.abc import Generator

import pytest

from suti.api.clustering.v1.clustering_pb2 import CLUSTER_STATE_DROPPED, CLUSTER_STATE_KEPT
from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.inputs import demonstration
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from tests.system.workers_stack import ENDS_S, MINIATURE, Stack
from tests.unit.stages.shards import noise, png

CANCELLED_WITHIN_S = 20.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    """All services, for all tests of this file."""
    stack = Stack(tmp_path_factory.mktemp("workers"))
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def test_a_run_goes_from_its_crawl_to_an_apprentice_through_every_service(stack: Stack) -> None:
    run = stack.ended(stack.begin())

    assert run.outcome.state == pb.RUN_STATE_SUCCEEDED, run
    ledger = Ledger(stack.store, run.run_id)
    shards = ledger.get(Stage.GROUPING, 0).counts["shards"]
    assert shards >= 2
    for stage in (Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS, Stage.FILTERING):
        assert [commit.shard for commit in ledger.commits(stage)] == list(range(shards))
    assert len(run.outcome.dataset_digest) == len(run.outcome.apprentice_sha256) == 64


def test_a_cancelled_run_has_no_job_left_within_seconds(stack: Stack) -> None:
    run_id = stack.begin(experts={**MINIATURE["experts"], "steps": 1_000_000})
    give_up = time.monotonic() + ENDS_S
    while not stack.jobs_running():
        assert time.monotonic() < give_up
        time.sleep(0.05)

    with stack.client() as suti:
        suti.cancel_run(run_id, reason="a test")
    cancelled_at = time.monotonic()
    while stack.jobs_running():
        assert time.monotonic() < cancelled_at + CANCELLED_WITHIN_S
        time.sleep(0.05)

    assert stack.ended(run_id).outcome.state == pb.RUN_STATE_CANCELLED


def test_clusters_checkpoints_and_promotions_can_be_asked_for(stack: Stack) -> None:
    run = stack.ended(stack.begin())

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
