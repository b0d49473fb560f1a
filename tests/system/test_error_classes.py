"""Each class of error from a worker over dead letter and controller to the run's outcome: real NATS, real processes."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from rich.progress import Progress

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.inputs import run_order
from suti.core import keys
from suti.core.errors import BadConfiguration, PermanentError, RetryableError, SutiError
from suti.core.ids import new_run_id
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.store import Store
from suti.local.demo.watching import RunDidNotSucceed, follow
from tests.system.pipeline_stack import PipelineProcess, Shards, running_pipeline, workers
from tests.waiting import becomes

QUICK = Patience(crashes=2, retry_for_s=1.0, refusals=2, backoff_s=(0.2,))
REST = tuple(stage for stage in Stage if stage is not Stage.CAPTIONING)


class EndpointAway(RetryableError):
    reason = "ENDPOINT_AWAY"


class NoModels(BadConfiguration):
    reason = "NO_MODELS"


class BadRow(PermanentError):
    reason = "BAD_ROW"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Generator[PipelineProcess]:
    """One service and one NATS server for all tests of this file."""
    with running_pipeline(tmp_path_factory.mktemp("pipeline")) as process:
        yield process


@pytest.fixture
def shards(pipeline: PipelineProcess) -> Shards:
    return Shards(pipeline.store)


def start(pipeline: PipelineProcess) -> str:
    with pipeline.client() as suti:
        return suti.create_run(run_order(str(pipeline.order_files()), preset="toy")).run_id


def failing(stage: Stage, shard: int, error: SutiError, *, healed: list[bool]) -> Callable[[ShardTicket], None]:
    """A worker's trouble with one shard, until it is healed."""

    def fail(ticket: ShardTicket) -> None:
        if (ticket.stage, ticket.shard) == (stage, shard) and not healed:
            raise error

    return fail


async def letters_of(pipeline: PipelineProcess, run_id: str) -> list[pb.DeadLetter]:
    """The run's dead letters, once it has any."""
    found: list[pb.DeadLetter] = []

    def look() -> bool:
        with pipeline.client() as suti:
            found[:] = suti.list_dead_letters(run_id=run_id)
        return bool(found)

    await becomes(lambda: asyncio.to_thread(look))
    return found


async def waits_for_letters(pipeline: PipelineProcess, run_id: str, stage: Stage) -> pb.ExplainRunResponse:
    """What `suti run why` says, once all that the stage waits for is a decision."""
    said: list[pb.ExplainRunResponse] = []

    def look() -> bool:
        with pipeline.client() as suti:
            said[:] = [suti.explain_run(run_id)]
        return said[0].stages[list(Stage).index(stage)].waits_for == pb.WAIT_REASON_DEAD_LETTERS

    await becomes(lambda: asyncio.to_thread(look))
    return said[0]


async def ended(pipeline: PipelineProcess, run_id: str) -> pb.Run:
    def watch() -> pb.Run:
        with pipeline.client() as suti:
            return [answer.run for answer in suti.watch_run(run_id, interval_s=0.1)][-1]

    return await asyncio.wait_for(asyncio.to_thread(watch), 120.0)


async def undisturbed_digest(pipeline: PipelineProcess) -> str:
    async with workers(pipeline.nats, Shards(pipeline.store)):
        return (await ended(pipeline, start(pipeline))).outcome.dataset_digest


async def test_an_outage_that_outlasts_the_retries_holds_the_run_up_and_a_replay_brings_the_same_data_set(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    healed: list[bool] = []
    shards.fail = failing(Stage.CAPTIONING, 1, EndpointAway("no vLLM"), healed=healed)
    run_id = start(pipeline)
    async with workers(pipeline.nats, shards, patience=QUICK):
        (letter,) = await letters_of(pipeline, run_id)
        why = await waits_for_letters(pipeline, run_id, Stage.CAPTIONING)
        await asyncio.sleep(1.0)  # some looks of the controller
        with pipeline.client() as suti:
            waiting = suti.get_run(run_id)
            healed.append(True)
            suti.replay_dead_letters([letter.letter_id])
        run = await ended(pipeline, run_id)

    assert letter.reason == "ENDPOINT_AWAY"
    assert letter.deliveries >= 2
    assert "suti dead replay" in why.headline
    assert waiting.state == pb.RUN_STATE_RUNNING
    assert [stage.shards_dead for stage in waiting.stages] == [0, 0, 1, 0, 0, 0]
    assert waiting.stages[4].shards_committed == 1  # the other shard went on
    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert run.outcome.dataset_digest == await undisturbed_digest(pipeline)


async def test_a_short_outage_leaves_no_letter(pipeline: PipelineProcess, shards: Shards) -> None:
    tries: list[float] = []

    def fail(ticket: ShardTicket) -> None:
        if ticket.stage == Stage.GROUPING:
            tries.append(time.monotonic())
            if len(tries) < 8:  # more often than a crash may be
                raise EndpointAway("no vLLM")

    shards.fail = fail
    run_id = start(pipeline)
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    with pipeline.client() as suti:
        assert list(suti.list_dead_letters(run_id=run_id)) == []


async def test_one_misconfigured_replica_ends_no_run(pipeline: PipelineProcess, shards: Shards) -> None:
    def refuse(ticket: ShardTicket) -> None:
        refused.append(ticket)
        raise NoModels("no models folder")

    refused: list[ShardTicket] = []
    run_id = start(pipeline)
    async with workers(pipeline.nats, Shards(pipeline.store, fail=refuse), name="without-models"):
        await becomes(lambda: bool(refused))
        async with workers(pipeline.nats, shards, name="sound"):
            run = await ended(pipeline, run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert DeadLetters(pipeline.store).list(run_id=run_id) == []


async def test_what_all_replicas_refuse_waits_for_the_operator_and_dropping_it_fails_the_run(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    shards.fail = failing(Stage.GROUPING, 0, NoModels("no models folder"), healed=[])
    run_id = start(pipeline)
    async with (
        workers(pipeline.nats, shards, patience=QUICK, name="one"),
        workers(pipeline.nats, shards, patience=QUICK, name="other"),
    ):
        (letter,) = await letters_of(pipeline, run_id)
        await waits_for_letters(pipeline, run_id, Stage.GROUPING)
        with pipeline.client() as suti:
            assert suti.get_run(run_id).state == pb.RUN_STATE_RUNNING
            with Progress(disable=True) as bars, pytest.raises(RunDidNotSucceed, match="suti dead replay"):
                follow(suti, run_id, bars)  # a demo, where nobody would ever decide
            suti.drop_dead_letters([letter.letter_id])
        run = await ended(pipeline, run_id)

    assert letter.reason == "NO_MODELS"
    assert (run.state, run.outcome.reason) == (pb.RUN_STATE_FAILED, "STAGE_DEAD")


async def test_bad_data_of_one_shard_is_left_behind_and_its_letter_cannot_be_replayed_once_the_run_is_over(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    shards.fail = failing(Stage.CAPTIONING, 1, BadRow("row 3 is no picture"), healed=[])
    run_id = start(pipeline)
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert [stage.shards_dead for stage in run.stages] == [0, 0, 1, 0, 0, 0]
    (letter,) = await letters_of(pipeline, run_id)
    with pipeline.client() as suti:
        with pytest.raises(PermanentError) as refusal:
            suti.replay_dead_letters([letter.letter_id])
        assert refusal.value.reason == "RUN_OVER"
        assert [one.letter_id for one in suti.list_dead_letters(run_id=run_id)] == [letter.letter_id]


async def test_a_shard_that_kills_its_workers_becomes_a_letter_and_is_done_after_a_replay_by_one_that_lives(
    pipeline: PipelineProcess, shards: Shards, tmp_path: Path
) -> None:
    run_id = start(pipeline)
    async with deadly_workers(pipeline, tmp_path), workers(pipeline.nats, shards, stages=REST):
        (letter, *_) = await letters_of(pipeline, run_id)
    with pipeline.client() as suti:
        assert suti.get_run(run_id).state == pb.RUN_STATE_RUNNING
        suti.replay_dead_letters(run_id=run_id)
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run_id)

    assert (letter.reason, letter.deliveries) == ("DELIVERIES_EXHAUSTED", 2)
    assert run.state == pb.RUN_STATE_SUCCEEDED
    assert run.outcome.dataset_digest == await undisturbed_digest(pipeline)


async def test_damaged_objects_of_one_run_and_a_malformed_announcement_stop_no_other_run(
    pipeline: PipelineProcess, shards: Shards
) -> None:
    store, broken = pipeline.store, start(pipeline)
    store.put(keys.commit(broken, Stage.GROUPING, 0), b'{"format": 1}')
    store.put(keys.run_outcome(new_run_id()), b"no outcome")
    store.put(keys.dead_letter(new_run_id()), b"no letter")
    stranger = await nats.connect(pipeline.nats.url)
    await stranger.publish("suti.v1.events.committed", b"{")
    await stranger.close()

    run_id = start(pipeline)
    async with workers(pipeline.nats, shards):
        run = await ended(pipeline, run_id)

    assert run.state == pb.RUN_STATE_SUCCEEDED
    with pipeline.client() as suti:
        assert run_id in {one.run_id for one in suti.list_runs()}
        with pytest.raises(SutiError) as damaged:
            suti.get_run(broken)
        assert damaged.value.reason == "COMMIT_UNREADABLE"
        store.delete(keys.commit(broken, Stage.GROUPING, 0))
    async with workers(pipeline.nats, shards):
        assert (await ended(pipeline, broken)).state == pb.RUN_STATE_SUCCEEDED


@asynccontextmanager
async def deadly_workers(pipeline: PipelineProcess, folder: Path) -> AsyncGenerator[None]:
    """Captioning workers that die of any shard, each followed by the next, until the block ends."""
    context = multiprocessing.get_context("spawn")

    async def one_after_another() -> None:
        while True:
            process = context.Process(
                target=die_of_a_shard, args=(pipeline.nats.url, f"file://{pipeline.folder}/store"), daemon=True
            )
            process.start()
            try:
                await asyncio.to_thread(process.join)
            finally:
                process.kill()

    running = asyncio.create_task(one_after_another())
    try:
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def die_of_a_shard(url: str, store: str) -> None:
    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def work() -> None:
        async with await Bus.connect(url, name="deadly") as bus:
            letters = DeadLetters(Store.open(store))
            worker = Worker(
                bus, stage=Stage.CAPTIONING, handle=handle, dead_letters=letters, ack_wait_s=1.0, patience=QUICK
            )
            await worker.run(asyncio.Event())

    asyncio.run(work())
