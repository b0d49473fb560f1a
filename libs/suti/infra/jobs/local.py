"""Jobs as subprocesses of this machine. Outlives its own death: a new launcher on the same folder takes over."""

import asyncio
import logging
import shutil
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from suti.infra.jobs.environment import TRACEPARENT, gang_command, of_index
from suti.infra.jobs.folder import JobFolder, job_folders
from suti.infra.jobs.port import IndexStatus, JobNameTaken, JobSpec, JobState, JobStatus, Progress
from suti.infra.jobs.processes import Attempt
from suti.infra.jobs.verdicts import Verdict, verdict
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import outgoing_headers
from suti.infra.telemetry.outcomes import AttemptOutcome

_LOG_TAIL_BYTES = 1_000_000

_log = logging.getLogger(__name__)


class _WholeJobFailed(Exception):
    """An index found that no index can succeed."""


class LocalJobs:
    """The backend for one machine: at most `slots` processes at a time, over all jobs. State lies in `folder`."""

    def __init__(self, folder: Path, *, slots: int, grace_s: float = 10.0, retry_s: float = 1.0) -> None:
        self._folder = folder
        self._slots = asyncio.Semaphore(slots)
        self._queued: Counter[str] = Counter()  # processes that wait for a slot, by job
        self._grace_s = grace_s
        self._retry_s = retry_s  # before the second attempt; doubled before each later one, up to a minute
        self._supervising: dict[str, asyncio.Task[None]] = {}

    async def start(self, spec: JobSpec) -> None:
        """See `Jobs.start`. A job whose launcher died is taken over, its living processes with it."""
        environment = {TRACEPARENT: outgoing_headers().get("traceparent", ""), **spec.environment}
        wanted = replace(spec, environment={name: value for name, value in environment.items() if value})
        kept = self._job(spec.name).create(wanted)
        if (kept.command, kept.indexes) != (spec.command, spec.indexes):
            raise JobNameTaken(f"job {spec.name} does something else already: give this one another name")
        await self._supervise(self._job(spec.name))

    async def recover(self) -> list[str]:
        """Takes over every job here that has not ended; call it when the launcher starts. Returns their names."""
        found = [job for job in job_folders(self._folder) if not job.state()[0].ended]
        for job in found:
            await self._supervise(job)
        return [job.name for job in found]

    async def standing(self, prefix: str) -> Mapping[str, tuple[int, ...]]:
        """See `Jobs.standing`."""
        specs = [job.spec() for job in job_folders(self._folder, prefix=prefix)]
        return {spec.name: spec.indexes for spec in specs if spec is not None}

    async def status(self, name: str) -> JobStatus | None:
        """See `Jobs.status`."""
        job = self._job(name)
        if (spec := job.spec()) is None:
            return None
        state, message, _ = job.state()
        return JobStatus(state=state, indexes={index: job.index(index) for index in spec.indexes}, message=message)

    async def cancel(self, name: str) -> None:
        """See `Jobs.cancel`."""
        job = self._job(name)
        if (spec := job.spec()) is None or job.state()[0].ended:
            return
        job.cancel()
        await asyncio.gather(*(self._stop(job, index) for index in spec.indexes))
        if (task := self._supervising.get(name)) is not None:
            await asyncio.wait([task])
        with job.supervised() as ours:
            if ours and not job.state()[0].ended:  # nobody was supervising it
                _end(job, spec, JobState.CANCELLED, "cancelled")

    async def forget(self, name: str) -> None:
        """See `Jobs.forget`."""
        job = self._job(name)
        if job.state()[0].ended:
            await asyncio.to_thread(shutil.rmtree, job.path, ignore_errors=True)

    async def logs(self, name: str, index: int) -> str:
        """See `Jobs.logs`; at most the last megabyte."""
        path = self._job(name).path / f"{index:06d}" / "log"
        try:
            with path.open("rb") as log:
                log.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    async def progress(self, name: str) -> Mapping[int, Progress]:
        """See `Jobs.progress`."""
        job = self._job(name)
        spec = job.spec()
        said = {index: job.progress(index) for index in spec.indexes} if spec else {}
        return {index: progress for index, progress in said.items() if progress is not None}

    async def waits_for(self, name: str) -> str:
        """See `Jobs.waits_for`: here it can only be a slot."""
        waiting = self._queued[name]
        return f"{waiting} of its processes wait for a slot: others are at work" if waiting else ""

    async def release(self, name: str) -> None:
        """See `Jobs.release`: here ended jobs stay, for their logs."""

    async def close(self) -> None:
        """Stops all processes (SIGTERM, at no cost to their jobs); the jobs go on with the next launcher."""
        tasks = list(self._supervising.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _job(self, name: str) -> JobFolder:
        return JobFolder(self._folder / name)

    async def _supervise(self, job: JobFolder) -> None:
        if job.name in self._supervising or job.state()[0].ended:
            return
        held = ExitStack()
        if not held.enter_context(job.supervised()):
            held.close()
            return  # another launcher on this machine does
        task = asyncio.create_task(self._run(job), name=f"job {job.name}")
        self._supervising[job.name] = task

        def done(_: asyncio.Task[None]) -> None:
            held.close()
            self._supervising.pop(job.name, None)

        task.add_done_callback(done)

    async def _run(self, job: JobFolder) -> None:
        spec = job.spec()
        if spec is None:
            return
        metrics.expect_job_attempts()
        began = job.state()[2] or time.time()
        job.set_state(JobState.RUNNING, began=began)
        left_s = None if spec.deadline_s is None else max(0.0, began + spec.deadline_s - time.time())
        gate = asyncio.Semaphore(spec.parallelism)
        # Those that a launcher before us left running first: they hold a slot already.
        order = sorted(spec.indexes, key=lambda index: self._last_attempt(job, index) is None)
        try:
            async with asyncio.timeout(left_s), asyncio.TaskGroup() as group:
                for index in order:
                    group.create_task(self._run_index(job, spec, index, gate))
        except TimeoutError:
            _end(job, spec, JobState.FAILED, f"not finished within {spec.deadline_s:g} s", reason="DEADLINE_EXCEEDED")
        except ExceptionGroup as errors:
            failed, others = errors.split(_WholeJobFailed)
            if others is not None:
                _log.error("supervising job %s failed; it goes on with the next launcher", job.name, exc_info=others)
                return
            _end(job, spec, JobState.FAILED, str(failed.exceptions[0] if failed else ""), reason="JOB_FAILED")
        else:
            _end_by_indexes(job, spec)

    async def _run_index(self, job: JobFolder, spec: JobSpec, index: int, gate: asyncio.Semaphore) -> None:
        failures = 0
        while not (status := job.index(index)).state.ended and not job.cancelled:
            async with gate, self._slot(job):
                if job.cancelled:
                    return
                attempt = self._last_attempt(job, index)
                try:
                    if attempt is None:
                        attempt = await self._begin(job, spec, index)
                    job.set_index(index, replace(status, state=JobState.RUNNING))
                    if job.cancelled:  # just now: whoever did may not have seen this process
                        await attempt.stop(grace_s=self._grace_s)
                    code = await attempt.ended()
                except asyncio.CancelledError:
                    await self._give_up(job, spec, index, status, attempt)
                    raise
                _settle(attempt)
                after = _after(job, spec, index, status, code)
                job.set_index(index, after)
                metrics.count_job_attempt(outcome=_outcome(after, code))
            if verdict(code) is Verdict.FAIL_JOB and not job.cancelled:
                raise _WholeJobFailed(f"index {index}: {after.reason}: {after.message}")
            if not after.state.ended:
                await asyncio.sleep(min(60.0, self._retry_s * 2**failures))
                failures += 1

    @asynccontextmanager
    async def _slot(self, job: JobFolder) -> AsyncGenerator[None]:
        self._queued[job.name] += 1
        try:
            await self._slots.acquire()
        finally:
            self._queued[job.name] -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _begin(self, job: JobFolder, spec: JobSpec, index: int) -> Attempt:
        job.forget_failure(index)
        path = job.attempt_path(index, fresh=True)
        assert path is not None  # noqa: S101 - a fresh one always is
        attempt = Attempt(path)
        gang = spec.gang
        await attempt.start(
            gang_command(spec, pods=1, processes=gang.pods * gang.processes) if gang else spec.command,
            environment=of_index(
                spec,
                index,
                progress_file=str(job.at(index) / "progress.json"),
                termination_file=str(job.at(index) / "termination.json"),
            ),
            log=job.at(index) / "log",
        )
        return attempt

    async def _give_up(
        self, job: JobFolder, spec: JobSpec, index: int, before: IndexStatus, attempt: Attempt | None
    ) -> None:
        """Stops an attempt from our side: at no cost to the index, unless it ended for good just then."""
        after = replace(before, state=JobState.PENDING)
        if attempt is not None:
            await attempt.stop(grace_s=self._grace_s)
            _settle(attempt)
            if verdict(code := attempt.exit_code()) not in (Verdict.RETRY, Verdict.RETRY_FREE):
                after = _after(job, spec, index, before, code)
        job.set_index(index, after)

    def _last_attempt(self, job: JobFolder, index: int) -> Attempt | None:
        """The attempt that a launcher before us began and nobody has settled; None if there is none."""
        path = job.attempt_path(index, fresh=False)
        return None if path is None or path.with_suffix(".settled").exists() else Attempt(path)

    async def _stop(self, job: JobFolder, index: int) -> None:
        if (attempt := self._last_attempt(job, index)) is not None:
            await attempt.stop(grace_s=self._grace_s)


def _settle(attempt: Attempt) -> None:
    attempt.path.with_suffix(".settled").touch()


def _after(job: JobFolder, spec: JobSpec, index: int, before: IndexStatus, code: int | None) -> IndexStatus:
    """Where an index is after an attempt that ended with this code."""
    reason, message = job.failure(index)
    ruling = verdict(code)
    attempts = before.attempts if ruling is Verdict.RETRY_FREE else before.attempts + 1
    status = replace(before, exit_code=code, attempts=attempts, reason=reason, message=message)
    match ruling:
        case Verdict.DONE:
            return replace(status, state=JobState.SUCCEEDED, reason="", message="")
        case Verdict.FAIL_INDEX | Verdict.FAIL_JOB:
            return replace(status, state=JobState.FAILED, reason=reason or f"EXIT_{code}")
        case Verdict.RETRY if attempts >= spec.attempts_per_index:
            reason = reason or ("KILLED" if code is None or code > 128 else f"EXIT_{code}")
            return replace(status, state=JobState.FAILED, reason=reason, message=message or "see its log")
        case _:
            return replace(status, state=JobState.PENDING)


def _outcome(after: IndexStatus, code: int | None) -> AttemptOutcome:
    if after.state.ended:
        return AttemptOutcome.SUCCEEDED if after.state is JobState.SUCCEEDED else AttemptOutcome.FAILED
    return AttemptOutcome.PREEMPTED if verdict(code) is Verdict.RETRY_FREE else AttemptOutcome.RETRIED


def _end_by_indexes(job: JobFolder, spec: JobSpec) -> None:
    states = [job.index(index).state for index in spec.indexes]
    if job.cancelled:
        _end(job, spec, JobState.CANCELLED, "cancelled")
    elif failed := states.count(JobState.FAILED):
        job.set_state(JobState.FAILED, message=f"{failed} of {len(states)} indexes failed")
    else:
        job.set_state(JobState.SUCCEEDED)


def _end(job: JobFolder, spec: JobSpec, state: JobState, message: str, *, reason: str = "") -> None:
    """The job ends so, and with it every index that had not ended."""
    for index in spec.indexes:
        status = job.index(index)
        if not status.state.ended:
            job.set_index(index, replace(status, state=state, reason=reason or status.reason))
    job.set_state(state, message=message)
