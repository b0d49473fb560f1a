import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from suti.core.errors import InvalidArgument
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import JobNameTaken, JobSpec, JobState, JobStatus, Progress
from tests.metering import measured, more
from tests.waiting import appears, becomes, runs

LAUNCHER = """
import asyncio, sys
from pathlib import Path
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import JobSpec

async def main() -> None:
    jobs = LocalJobs(Path(sys.argv[1]), slots=2)
    await jobs.start(JobSpec(name="long", command=("/bin/sh", "-c", sys.argv[2]), indexes=(0, 1), parallelism=2))
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncGenerator[LocalJobs]:
    backend = LocalJobs(tmp_path / "jobs", slots=2, grace_s=1.0, retry_s=0.01)
    yield backend
    await backend.close()


def shell(script: str, *, name: str = "job", indexes: tuple[int, ...] = (0,), attempts: int = 2) -> JobSpec:
    return JobSpec(
        name=name,
        command=("/bin/sh", "-c", script),
        indexes=indexes,
        parallelism=2,
        attempts_per_index=attempts,
        environment={"GREETING": "hello"},
    )


async def until(jobs: LocalJobs, name: str, wanted: Callable[[JobStatus], bool], *, limit_s: float = 10) -> JobStatus:
    async def is_so() -> bool:
        status = await jobs.status(name)
        return status is not None and wanted(status)

    await becomes(is_so, limit_s=limit_s)
    status = await jobs.status(name)
    assert status is not None
    return status


async def ended(jobs: LocalJobs, name: str = "job") -> JobStatus:
    return await until(jobs, name, lambda status: status.state.ended)


async def test_each_index_is_told_its_number_and_its_output_is_kept(jobs: LocalJobs) -> None:
    await jobs.start(shell('echo "$GREETING $SUTI_JOB_NAME $SUTI_JOB_INDEX $JOB_COMPLETION_INDEX"', indexes=(0, 3)))

    status = await ended(jobs)

    assert status.state is JobState.SUCCEEDED
    assert {index: (s.state, s.exit_code, s.attempts) for index, s in status.indexes.items()} == {
        0: (JobState.SUCCEEDED, 0, 1),
        3: (JobState.SUCCEEDED, 0, 1),
    }
    assert await jobs.logs("job", 3) == "hello job 3 3\n"
    assert await jobs.logs("job", 9) == ""


@pytest.mark.parametrize(
    ("end", "attempts", "reason"),
    [("exit 65", 1, "EXIT_65"), ("exit 75", 2, "EXIT_75"), ("exit 1", 2, "EXIT_1"), ("kill -9 $$", 2, "KILLED")],
)
async def test_bad_data_fails_its_index_at_once_and_a_crash_after_its_attempts(
    jobs: LocalJobs, end: str, attempts: int, reason: str
) -> None:
    await jobs.start(shell(f'[ "$SUTI_JOB_INDEX" = 1 ] && exit 0; {end}', indexes=(0, 1)))

    status = await ended(jobs)

    assert status.state is JobState.FAILED
    assert status.indexes[1].state is JobState.SUCCEEDED
    failed = status.indexes[0]
    assert (failed.state, failed.attempts, failed.reason) == (JobState.FAILED, attempts, reason)


async def test_bad_configuration_fails_the_whole_job_and_stops_the_others(jobs: LocalJobs, tmp_path: Path) -> None:
    await jobs.start(shell(f'[ "$SUTI_JOB_INDEX" = 1 ] && exit 78; echo $$ > {tmp_path}/pid; sleep 60', indexes=(0, 1)))

    status = await ended(jobs)

    assert status.state is JobState.FAILED
    assert [s.state for s in status.indexes.values()] == [JobState.FAILED, JobState.FAILED]
    assert status.indexes[0].reason == "JOB_FAILED"
    assert not (tmp_path / "pid").exists() or not runs(int((tmp_path / "pid").read_text()))


async def test_being_stopped_costs_no_attempt(jobs: LocalJobs, tmp_path: Path) -> None:
    # Stopped three times where two failures would be the end, then done.
    await jobs.start(shell(f'echo x >> {tmp_path}/n; [ "$(wc -l < {tmp_path}/n)" -gt 3 ] || exit 143'))

    status = await ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)


async def test_a_crash_is_tried_again_and_then_done(jobs: LocalJobs, tmp_path: Path) -> None:
    await jobs.start(shell(f"[ -e {tmp_path}/seen ] || {{ touch {tmp_path}/seen; exit 1; }}"))

    status = await ended(jobs)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 2)


async def test_every_attempt_is_counted_by_how_it_ended(jobs: LocalJobs, tmp_path: Path) -> None:
    before = measured("suti.jobs.attempts", "suti.outcome")
    script = f'echo x >> {tmp_path}/n; case "$(wc -l < {tmp_path}/n)" in 1) exit 143;; 2) exit 1;; esac'
    await jobs.start(shell(script))
    await ended(jobs)
    await jobs.start(shell("exit 65", name="bad"))
    await ended(jobs, "bad")

    counted = more("suti.jobs.attempts", "suti.outcome", before)

    assert counted == {"preempted": 1, "retried": 1, "succeeded": 1, "failed": 1}


async def test_starting_the_same_job_twice_runs_it_once(jobs: LocalJobs, tmp_path: Path) -> None:
    spec = shell(f"echo run >> {tmp_path}/runs")
    await jobs.start(spec)
    await jobs.start(spec)
    await ended(jobs)

    await jobs.start(spec)
    await asyncio.sleep(0.1)

    assert (tmp_path / "runs").read_text() == "run\n"


async def test_a_name_is_not_lent_to_another_job_until_it_is_forgotten(jobs: LocalJobs) -> None:
    await jobs.start(shell("exit 65"))
    await ended(jobs)
    with pytest.raises(JobNameTaken):
        await jobs.start(shell("exit 0"))

    await jobs.forget("job")
    assert await jobs.status("job") is None
    await jobs.start(shell("exit 0"))

    assert (await ended(jobs)).state is JobState.SUCCEEDED


async def test_cancel_asks_first_and_kills_what_does_not_listen(jobs: LocalJobs, tmp_path: Path) -> None:
    polite = f"trap 'echo bye > {tmp_path}/bye; exit 143' TERM; echo 1 > {tmp_path}/a; while :; do sleep 0.05; done"
    deaf = f"trap '' TERM; echo $$ > {tmp_path}/b; while :; do sleep 0.05; done"
    await jobs.start(shell(f'if [ "$SUTI_JOB_INDEX" = 0 ]; then {polite}; else {deaf}; fi', indexes=(0, 1)))
    await appears(tmp_path / "a")
    pid = int(await appears(tmp_path / "b"))

    await jobs.cancel("job")

    status = await jobs.status("job")
    assert status is not None
    assert [status.state, *(s.state for s in status.indexes.values())] == [JobState.CANCELLED] * 3
    assert (tmp_path / "bye").exists()
    assert not runs(pid)
    await jobs.cancel("job")
    await jobs.cancel("never was")


async def test_a_job_past_its_deadline_failed(jobs: LocalJobs) -> None:
    await jobs.start(JobSpec(name="slow", command=("sleep", "60"), indexes=(0,), deadline_s=0.2))

    status = await ended(jobs, "slow")

    assert (status.state, status.indexes[0].reason) == (JobState.FAILED, "DEADLINE_EXCEEDED")


async def test_no_more_processes_than_slots(tmp_path: Path) -> None:
    jobs = LocalJobs(tmp_path / "jobs", slots=1, retry_s=0.01)
    script = f"mkdir {tmp_path}/busy || exit 65; sleep 0.05; rmdir {tmp_path}/busy"
    for name in ("one", "two"):
        await jobs.start(shell(script, name=name, indexes=(0, 1)))

    states = [(await ended(jobs, name)).state for name in ("one", "two")]

    assert states == [JobState.SUCCEEDED] * 2
    await jobs.close()


async def test_a_job_waits_only_for_what_others_hold(tmp_path: Path) -> None:
    jobs = LocalJobs(tmp_path / "jobs", slots=1, grace_s=1.0)
    await jobs.start(shell("sleep 60", name="first"))
    told = [await jobs.waits_for("first")]  # its process is being started
    await jobs.start(shell("true", name="second", indexes=(0, 1)))
    await until(jobs, "first", lambda status: status.indexes[0].state is JobState.RUNNING)

    told += [await jobs.waits_for("first"), await jobs.waits_for("second")]

    assert told == ["", "", "2 of its processes wait for a slot: others are at work"]
    await jobs.close()


async def test_a_closed_launcher_stops_its_processes_and_the_next_one_goes_on(tmp_path: Path) -> None:
    script = f"echo x >> {tmp_path}/starts; [ -e {tmp_path}/go ] || {{ sleep 60; }}"
    first = LocalJobs(tmp_path / "jobs", slots=2, grace_s=1.0)
    await first.start(shell(script, attempts=1))
    await appears(tmp_path / "starts")
    await first.close()
    (tmp_path / "go").touch()

    second = LocalJobs(tmp_path / "jobs", slots=2)
    assert await second.recover() == ["job"]
    status = await ended(second)

    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 1)
    assert (tmp_path / "starts").read_text() == "x\nx\n"


async def test_a_killed_launchers_processes_are_taken_over_not_doubled(tmp_path: Path) -> None:
    script = f"echo $$ >> {tmp_path}/pids; while ! [ -e {tmp_path}/go ]; do sleep 0.05; done; exit 65"
    launcher = await asyncio.create_subprocess_exec(sys.executable, "-c", LAUNCHER, str(tmp_path / "jobs"), script)
    await appears(tmp_path / "pids")
    await becomes(lambda: (tmp_path / "pids").read_text().count("\n") == 2)
    launcher.kill()
    await launcher.wait()

    jobs = LocalJobs(tmp_path / "jobs", slots=2)
    await jobs.recover()
    await asyncio.sleep(0.2)
    running = await jobs.status("long")
    (tmp_path / "go").touch()
    status = await ended(jobs, "long")

    assert running is not None
    assert running.state is JobState.RUNNING
    # How they ended is known although their own launcher was not there to see it.
    assert [s.exit_code for s in status.indexes.values()] == [65, 65]
    assert (tmp_path / "pids").read_text().count("\n") == 2
    await jobs.close()


async def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(tmp_path: Path) -> None:
    jobs = LocalJobs(tmp_path / "jobs", slots=1, grace_s=0.2)
    await jobs.start(shell("kill -9 0"))  # kills its whole group: no exit code is left
    await ended(jobs)
    await jobs.close()
    stranger = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    index = tmp_path / "jobs" / "job" / "000000"
    (tmp_path / "jobs" / "job" / "state.json").write_text('{"state": "running"}')
    for mark in index.glob("*.settled"):
        mark.unlink()
    for pid in index.glob("*.pid"):
        pid.write_text(str(stranger.pid))

    again = LocalJobs(tmp_path / "jobs", slots=1, grace_s=0.2)
    await again.cancel("job")

    assert stranger.returncode is None
    os.kill(stranger.pid, signal.SIGKILL)
    await stranger.wait()
    await again.close()


async def test_progress_is_what_the_process_said_last(jobs: LocalJobs, tmp_path: Path) -> None:
    said = '{"done": 3, "total": 7, "note": "tuning"}'
    await jobs.start(shell(f"echo '{said}' > $SUTI_PROGRESS_FILE; touch {tmp_path}/said; sleep 0.1"))
    await ended(jobs)

    assert await jobs.progress("job") == {0: Progress(done=3, total=7, note="tuning")}
    assert await jobs.progress("other") == {}


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-lead", "x" * 64])
def test_names_that_kubernetes_would_refuse_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="DNS-1123"):
        shell("true", name=name)


@pytest.mark.parametrize("indexes", [(), (1, 0), (0, 0), (-1,)])
def test_indexes_that_are_no_set_of_shards_are_refused(indexes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match="ascend"):
        shell("true", indexes=indexes)
