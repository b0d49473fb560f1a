"""Every worker is killed once while it has a shard in hand: the run ends as if nobody had been."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.endpoints import Service
from suti.core import keys
from suti.core.records import CandidateRow, ExampleRow, Stage, VerdictRow
from suti.infra.bus.connection import Bus
from suti.infra.ledger import Ledger
from suti.infra.tables import from_parquet
from tests.system.workers_stack import ENDS_S, Stack

pytestmark = [pytest.mark.extended, pytest.mark.timeout(3600)]

SEED = 11


def becomes(condition: Callable[[], bool]) -> None:
    """Waits until it is so."""
    give_up = time.monotonic() + ENDS_S
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


def test_a_run_done_twice_and_once_more_with_every_worker_killed_ends_three_times_with_the_same(stack: Stack) -> None:
    runs = [stack.ended(stack.begin(seed=SEED)) for _ in range(2)]
    disturbed = stack.begin(seed=SEED)
    killed = kill_every_worker(stack, disturbed)
    runs.append(stack.ended(disturbed))

    assert killed == ["suti_experts.job", "suti_apprentice.job"]
    assert [run.outcome.state for run in runs] == [pb.RUN_STATE_SUCCEEDED] * 3
    assert len({run.outcome.dataset_digest for run in runs}) == 1
    assert len({run.outcome.apprentice_sha256 for run in runs}) == 1
    nothing_is_lost_or_doubled(stack, disturbed)


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
