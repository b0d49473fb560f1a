"""The port's promises, kept by processes of this machine and by pods of a cluster alike."""

import asyncio
from dataclasses import replace

import pytest

from suti.infra.jobs.port import JobNameTaken, JobsBackend, JobState, JobStatus
from tests.cluster.jobs.conftest import Backend
from tests.waiting import becomes

pytestmark = pytest.mark.timeout(300)


async def test_each_index_is_told_its_number_and_its_output_is_kept(backend: Backend, jobs: JobsBackend) -> None:
    # Dollars are the shell's: no backend puts anything for them.
    script = 'echo "$GREETING $SUTI_JOB_NAME $SUTI_JOB_INDEX $(echo "$PRICE")" $(($$ > 0))'
    spec = backend.shell(script, indexes=(0, 1, 2))
    await jobs.start(replace(spec, environment={**spec.environment, "PRICE": "$$5 $(GREETING)"}))

    status = await backend.ended(jobs)

    assert status.state is JobState.SUCCEEDED
    assert list(status.indexes) == [0, 1, 2]
    assert {(s.state, s.exit_code, s.attempts) for s in status.indexes.values()} == {(JobState.SUCCEEDED, 0, 1)}
    assert await jobs.logs("job", 2) == "hello job 2 $$5 $(GREETING) 1\n"
    assert await jobs.logs("job", 9) == ""
    assert await jobs.logs("other", 0) == ""


async def test_bad_data_fails_its_index_at_once_and_no_other(backend: Backend, jobs: JobsBackend) -> None:
    left = '{"reason": "BROKEN", "message": "drop it"}'
    script = f"[ $SUTI_JOB_INDEX = 1 ] && exit 0; echo '{left}' > $SUTI_TERMINATION_FILE; exit 65"
    await jobs.start(backend.shell(script, indexes=(0, 1)))

    status = await backend.ended(jobs)

    assert (status.state, status.message) == (JobState.FAILED, "1 of 2 indexes failed")
    assert status.indexes[1].state is JobState.SUCCEEDED
    failed = status.indexes[0]
    assert (failed.state, failed.exit_code, failed.attempts) == (JobState.FAILED, 65, 1)
    assert (failed.reason, failed.message) == ("BROKEN", "drop it")


async def test_bad_configuration_fails_the_whole_job_and_stops_the_others(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("[ $SUTI_JOB_INDEX = 1 ] && { sleep 1; exit 78; }; sleep 600", indexes=(0, 1)))

    status = await backend.ended(jobs)

    assert [status.state, *(one.state for one in status.indexes.values())] == [JobState.FAILED] * 3
    assert [one.reason for one in status.indexes.values()] == ["JOB_FAILED", "EXIT_78"]
    assert status.message.startswith("index 1: EXIT_78")


async def test_being_stopped_costs_no_attempt(backend: Backend, jobs: JobsBackend) -> None:
    # Stopped where one failure would be the end, then done.
    await jobs.start(backend.shell("[ ${STOPPED_BEFORE:-0} -ge 1 ] || exit 143", attempts=1))

    status = await backend.ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)


async def test_a_crash_is_tried_again_and_then_done(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("echo attempt ${FAILED_BEFORE:-0}; [ ${FAILED_BEFORE:-0} -ge 1 ] || exit 1"))

    status = await backend.ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 2)
    assert await jobs.logs("job", 0) == "attempt 0\nattempt 1\n"


@pytest.mark.parametrize(("end", "reason"), [("exit 75", "EXIT_75"), ("kill -9 $$", "KILLED")])
async def test_what_crashes_as_often_as_it_may_failed(
    backend: Backend, jobs: JobsBackend, end: str, reason: str
) -> None:
    await jobs.start(backend.shell(end, attempts=1))

    status = await backend.ended(jobs)

    assert (status.state, status.indexes[0].attempts, status.indexes[0].reason) == (JobState.FAILED, 1, reason)


async def test_starting_the_same_job_twice_runs_it_once(backend: Backend, jobs: JobsBackend) -> None:
    spec = backend.shell("echo run")
    await jobs.start(spec)
    await jobs.start(spec)
    await backend.ended(jobs)
    await jobs.start(spec)
    await asyncio.sleep(1)

    assert await jobs.logs("job", 0) == "run\n"


async def test_two_launchers_that_start_the_same_job_at_once_start_one(backend: Backend, jobs: JobsBackend) -> None:
    other = backend.open()
    await other.recover()
    spec = backend.shell("echo run", indexes=(0, 1))

    await asyncio.gather(jobs.start(spec), other.start(spec))

    ends = [await backend.ended(one) for one in (jobs, other)]
    assert [end.state for end in ends] == [JobState.SUCCEEDED] * 2
    assert [await jobs.logs("job", index) for index in (0, 1)] == ["run\n", "run\n"]


async def test_a_name_is_not_lent_to_another_job_until_it_is_forgotten(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("exit 65"))
    await backend.ended(jobs)
    with pytest.raises(JobNameTaken):
        await jobs.start(backend.shell("exit 0"))

    await jobs.forget("job")
    assert await jobs.status("job") is None
    await jobs.start(backend.shell("exit 0"))

    assert (await backend.ended(jobs)).state is JobState.SUCCEEDED


async def test_a_job_that_runs_is_not_forgotten(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("sleep 600"))
    await backend.until(jobs, "job", lambda status: status.state is JobState.RUNNING)

    await jobs.forget("job")

    status = await jobs.status("job")
    assert status is not None
    assert status.state is JobState.RUNNING
    await jobs.cancel("job")


async def test_cancel_asks_first_and_kills_what_does_not_listen(backend: Backend, jobs: JobsBackend) -> None:
    polite = "trap 'echo bye; exit 143' TERM; while :; do sleep 0.05; done"
    deaf = "trap '' TERM; while :; do sleep 0.05; done"
    await jobs.start(backend.shell(f"if [ $SUTI_JOB_INDEX = 0 ]; then {polite}; else {deaf}; fi", indexes=(0, 1)))

    def running(status: JobStatus) -> bool:
        return all(one.state is JobState.RUNNING for one in status.indexes.values())

    await backend.until(jobs, "job", running)

    await jobs.cancel("job")

    status = await jobs.status("job")
    assert status is not None
    assert [status.state, *(one.state for one in status.indexes.values())] == [JobState.CANCELLED] * 3
    await jobs.cancel("job")
    await jobs.cancel("never-was")
    await jobs.forget("job")
    assert await jobs.status("job") is None


async def test_a_job_past_its_deadline_failed(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("sleep 600", deadline_s=1.0))

    status = await backend.ended(jobs)

    assert (status.state, status.indexes[0].reason) == (JobState.FAILED, "DEADLINE_EXCEEDED")


async def test_a_new_launcher_goes_on_with_the_jobs_of_one_that_went(backend: Backend) -> None:
    first = backend.open()
    await first.recover()
    await first.start(backend.shell("trap 'exit 143' TERM; i=0; while [ $i -lt 40 ]; do sleep 0.1; i=$((i+1)); done"))
    await backend.until(first, "job", lambda status: status.state is JobState.RUNNING)
    await first.close()

    second = backend.open()
    assert await second.recover() == ["job"]
    status = await backend.ended(second)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)
    assert await second.recover() == []


async def test_the_jobs_that_stand_are_told_by_how_their_names_begin_with_the_indexes_of_each(
    backend: Backend, jobs: JobsBackend
) -> None:
    await jobs.start(backend.shell("sleep 600", name="suti-one", indexes=(3, 4, 9)))
    await jobs.start(backend.shell("sleep 600", name="suti-two", indexes=(0,)))
    await jobs.start(backend.shell("sleep 600", name="another"))

    async def all_are_seen() -> bool:
        return await jobs.standing("suti-") == {"suti-one": (3, 4, 9), "suti-two": (0,)}

    await becomes(all_are_seen, limit_s=backend.limit_s)
    for name in ("suti-one", "suti-two", "another"):
        await jobs.cancel(name)
    await backend.ended(jobs, "suti-two")
    await jobs.forget("suti-two")
    assert await jobs.standing("suti-") == {"suti-one": (3, 4, 9)}


async def test_a_released_job_is_no_trouble(backend: Backend, jobs: JobsBackend) -> None:
    await jobs.start(backend.shell("exit 0"))
    await backend.ended(jobs)

    await jobs.release("job")
    await jobs.release("never-was")
    await jobs.forget("job")

    assert await jobs.status("job") is None
