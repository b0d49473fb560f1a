"""Shards become jobs, many to a job, and each shard's ticket is answered by how its own index ended."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from suti.core import keys
from suti.infra.bus.connection import Bus
from suti.infra.jobs.port import JobState
from suti.stages.wave_jobs import RUN_ID, wave_name
from suti.stages.waves import Gathering
from tests.contract.jobs.launchers import RUN, STAGE, Launch, Run
from tests.servers.nats import bus, nats_server
from tests.waiting import becomes

__all__ = ["bus", "nats_server"]


@pytest.fixture
def run(tmp_path: Path, bus: Bus) -> Run:
    return Run(tmp_path, bus)


async def jobs_of(launch: Launch) -> Mapping[str, tuple[int, ...]]:
    return await launch.jobs.standing("suti-experts-")


async def test_shards_that_are_ready_together_are_one_job_and_each_is_done_once(run: Run) -> None:
    await run.issue(0, 1, 2, 3)
    async with run.launching("commit") as launch:
        await becomes(lambda: run.all_done(0, 1, 2, 3))

        assert await jobs_of(launch) == {wave_name(STAGE, RUN, (0, 1, 2, 3)): (0, 1, 2, 3)}
    assert run.ran() == [0, 1, 2, 3]
    assert run.dead_letters.list() == []


async def test_a_job_has_no_more_shards_than_it_may(run: Run) -> None:
    await run.issue(0, 1, 2)
    async with run.launching("commit", gathering=Gathering(wait_s=0.3, most=2)) as launch:
        await becomes(lambda: run.all_done(0, 1, 2))

        assert sorted((await jobs_of(launch)).values()) == [(0, 1), (2,)]


async def test_only_so_many_shards_are_in_jobs_at_once_and_the_next_follow_as_they_end(run: Run) -> None:
    await run.issue(0, 1, 2, 3)
    script = "while [ ! -e $READY/go-$SUTI_JOB_INDEX ]; do sleep 0.05; done; commit"
    async with run.launching(script, gathering=Gathering(wait_s=0.3, at_once=2)) as launch:
        await becomes(lambda: run.ran() == [0, 1])
        (run.folder / "ready" / "go-1").touch()
        await becomes(lambda: run.ran() == [0, 1, 2])
        for shard in (0, 2, 3):
            (run.folder / "ready" / f"go-{shard}").touch()
        await becomes(lambda: run.all_done(0, 1, 2, 3))

        assert sorted((await jobs_of(launch)).values()) == [(0,), (1,), (2,), (3,)]


async def test_shards_that_wait_for_room_end_with_their_run(run: Run) -> None:
    await run.issue(0, 1)
    async with run.launching("sleep 600", gathering=Gathering(wait_s=0.3, at_once=1)):
        await becomes(lambda: run.ran() == [0])
        run.store.put(keys.run_cancelled(RUN), b"{}")

        await becomes(run.all_done, limit_s=20)
    assert run.ran() == [0]


async def test_a_shard_is_answered_for_before_the_others_of_its_job_end(run: Run) -> None:
    await run.issue(0, 1)
    async with run.launching("[ $SUTI_JOB_INDEX = 0 ] && { commit; exit; }; sleep 600") as launch:

        async def one_is_left() -> bool:
            return run.committed(0) and await run.bus.queue_depth(STAGE) == 1

        await becomes(one_is_left)
        (name,) = await jobs_of(launch)
        status = await launch.jobs.status(name)
        assert status is not None
        assert status.state is JobState.RUNNING
        await launch.jobs.cancel(name)


async def test_bad_data_is_its_own_shards_dead_letter_and_harms_no_other(run: Run) -> None:
    left = '{"reason": "BROKEN", "message": "drop it"}'
    await run.issue(0, 1, 2)
    async with run.launching(
        f"[ $SUTI_JOB_INDEX = 1 ] && {{ echo '{left}' > $SUTI_TERMINATION_FILE; exit 65; }}; commit"
    ):
        await becomes(lambda: run.all_done(0, 2))

    (letter,) = run.dead_letters.list()
    assert (letter.shard, letter.reason, letter.message, letter.bad_data) == (1, "JOB_FAILED", "BROKEN: drop it", True)


async def test_a_shard_that_breaks_is_tried_again_while_the_others_of_its_job_go_on(run: Run) -> None:
    await run.issue(0, 1)
    script = "[ $SUTI_JOB_INDEX = 0 ] || { while [ ! -e $READY/go ]; do sleep 0.05; done; }; "
    script += "[ $SUTI_JOB_INDEX = 0 ] && [ ! -e $READY/once ] && { touch $READY/once; exit 1; }; commit"
    async with run.launching(script) as launch:
        await becomes(lambda: run.committed(0))
        assert sorted((await jobs_of(launch)).values()) == [(0,), (0, 1)]
        (run.folder / "ready" / "go").touch()
        await becomes(lambda: run.all_done(0, 1))

    assert run.ran() == [0, 0, 1]


async def test_a_job_that_cannot_be_started_harms_no_shard_whose_job_runs(run: Run) -> None:
    script = "while [ ! -e $READY/go ]; do sleep 0.05; done; commit"
    gathering = Gathering(wait_s=0.3, most=1)
    async with run.launching(script, gathering=gathering) as launch:
        # The name of the second shard's job belongs to other work.
        await launch.jobs.start(run.plan(script).job(wave_name(STAGE, RUN, (1,)), {RUN_ID: RUN}, indexes=(3,)))
        await becomes(lambda: run.ran() == [3])
        await run.issue(0, 1)

        await becomes(lambda: [letter.shard for letter in run.dead_letters.list()] == [1])
        (run.folder / "ready" / "go").touch()
        await becomes(lambda: run.all_done(0, 3))

    assert [(letter.shard, letter.reason) for letter in run.dead_letters.list()] == [(1, "JOB_NAME_TAKEN")]


async def test_bad_configuration_ends_the_whole_job_and_every_shard_of_it_says_so(run: Run) -> None:
    await run.issue(0, 1)
    async with run.launching("[ $SUTI_JOB_INDEX = 1 ] && { sleep 0.3; exit 78; }; sleep 600") as launch:

        async def both_wait() -> bool:
            standing = await jobs_of(launch)
            states = [await launch.jobs.status(name) for name in standing]
            return len(states) == 1 and states[0] is not None and states[0].state is JobState.FAILED

        await becomes(both_wait)
        # Neither has crashed: one worker alone that finds its configuration wrong buries nothing.
        await becomes(lambda: len(run.ran()) >= 8)
    assert run.dead_letters.list() == []


async def test_a_launcher_that_starts_anew_finds_its_shards_in_the_job_that_is_there(run: Run) -> None:
    # Stopped at no cost by the first launcher's end, they go on with the second's begin.
    script = "trap 'exit 143' TERM; while [ ! -e $READY/go ]; do sleep 0.05; done; commit"
    await run.issue(0, 1)
    async with run.launching(script, gathering=Gathering(wait_s=0.3)):
        await becomes(lambda: run.ran() == [0, 1])
    await run.issue(2)

    async with run.launching(script) as launch:
        await becomes(lambda: run.ran() == [0, 0, 1, 1, 2])
        assert sorted((await jobs_of(launch)).values()) == [(0, 1), (2,)]
        (run.folder / "ready" / "go").touch()
        await becomes(lambda: run.all_done(0, 1, 2))


async def test_shards_that_another_launcher_has_in_a_living_job_are_waited_for_and_not_launched(run: Run) -> None:
    script = "while [ ! -e $READY/go ]; do sleep 0.05; done; commit"
    async with run.launching(script) as one:
        theirs = run.plan(script).job(wave_name(STAGE, RUN, (0, 1, 3)), {RUN_ID: RUN}, indexes=(0, 1, 3))
        await one.jobs.start(theirs)
        await becomes(lambda: run.ran() == [0, 1, 3])
        await run.issue(0, 2, 3)
        await becomes(lambda: run.ran() == [0, 1, 2, 3])

        assert sorted((await jobs_of(one)).values()) == [(0, 1, 3), (2,)]
        (run.folder / "ready" / "go").touch()
        await becomes(lambda: run.all_done(0, 1, 2, 3))
    assert run.ran() == [0, 1, 2, 3]


async def test_two_launchers_at_once_do_each_shard_once(run: Run) -> None:
    async with run.launching("sleep 0.5; commit"), run.launching("sleep 0.5; commit"):
        await run.issue(0, 1, 2, 3)
        await becomes(lambda: run.all_done(0, 1, 2, 3))

    assert run.ran() == [0, 1, 2, 3]


async def test_a_cancelled_run_has_no_job_left_within_seconds(run: Run) -> None:
    await run.issue(0, 1)
    async with run.launching("trap 'exit 143' TERM; while :; do sleep 0.05; done") as launch:
        await becomes(lambda: run.ran() == [0, 1])
        run.store.put(keys.run_cancelled(RUN), b"{}")

        await becomes(run.all_done, limit_s=20)

        (name,) = await jobs_of(launch)
        status = await launch.jobs.status(name)
        assert status is not None
        assert status.state is JobState.CANCELLED


async def test_a_job_that_has_done_its_work_is_not_cancelled_by_the_end_of_its_run(run: Run) -> None:
    """A run is over with its last commit, and the process that made it needs a moment to end."""
    await run.issue(0)
    async with run.launching("commit; while [ ! -e $READY/go ]; do sleep 0.05; done") as launch:
        await becomes(lambda: run.committed(0))
        run.store.put(keys.run_outcome(RUN), b"{}")
        await asyncio.sleep(2.5)  # it looks every second
        (run.folder / "ready" / "go").touch()
        await becomes(run.all_done)

        (name,) = await jobs_of(launch)
        status = await launch.jobs.status(name)
    assert status is not None
    assert status.state is JobState.SUCCEEDED


async def test_a_job_whose_run_was_cancelled_while_no_launcher_was_there_is_cancelled_by_the_next(run: Run) -> None:
    await run.issue(0)
    async with run.launching("trap 'exit 143' TERM; while :; do sleep 0.05; done"):
        await becomes(lambda: run.ran() == [0])
    await run.bus.withdraw(RUN)
    run.store.put(keys.run_cancelled(RUN), b"{}")

    async with run.launching("exit 1") as launch:
        await launch.waves.tidy()
        (name,) = await jobs_of(launch)

        status = await launch.jobs.status(name)
        assert status is not None
        assert status.state is JobState.CANCELLED


async def test_how_far_each_shard_is_and_what_it_waits_for_is_announced(run: Run) -> None:
    script = 'echo "{\\"done\\": $SUTI_JOB_INDEX, \\"total\\": 9, \\"note\\": \\"\\"}" > $SUTI_PROGRESS_FILE; sleep 600'
    told: dict[int, int] = {}
    async with run.bus.listen("progress") as events, run.launching(script) as launch:
        await run.issue(1, 2, 3)
        async for event in events:
            told[event.fields["shard"]] = event.fields["done"]
            if len(told) == 3:
                break
        (name,) = await jobs_of(launch)
        await launch.jobs.cancel(name)

    assert told == {1: 1, 2: 2, 3: 3}
