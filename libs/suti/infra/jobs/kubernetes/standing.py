"""Where a job is, from what was seen of it and its pods: pure, in the words of the port."""

from collections.abc import Mapping, Sequence

from suti.core.errors import ExitCode
from suti.infra.jobs.kubernetes.seen import SeenJob, SeenPod
from suti.infra.jobs.port import IndexStatus, JobState, JobStatus
from suti.infra.jobs.ranges import ranges_from
from suti.infra.jobs.verdicts import Verdict, verdict

_DEADLINE = "DeadlineExceeded"


def job_status(job: SeenJob, pods: Mapping[int, SeenPod]) -> JobStatus:
    """The job and its indexes."""
    succeeded, failed = set(ranges_from(job.succeeded_at)), set(ranges_from(job.failed_at))
    overall = _ended_as(job)

    def at(position: int) -> IndexStatus:
        return _index(pods.get(position), overall, job, succeeded=position in succeeded, failed=position in failed)

    named = ranges_from(job.indexes)
    if job.gang:
        indexes = {named[0]: _together([at(position) for position in range(job.gang)])}
    else:
        indexes = {index: at(position) for position, index in enumerate(named)}
    if overall is None:
        begun = any(status.state is not JobState.PENDING for status in indexes.values())
        overall = JobState.RUNNING if begun else JobState.PENDING
    return JobStatus(state=overall, indexes=indexes, message=_message(job, overall, indexes))


def _together(pods: Sequence[IndexStatus]) -> IndexStatus:
    """A gang's one index: done with the first that is done, failed with the first that failed by itself."""
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.PENDING):
        found = [pod for pod in pods if pod.state is state]
        if found:
            return max(found, key=lambda pod: (pod.reason != "JOB_FAILED", pod.exit_code is not None))
    return max(pods, key=lambda pod: pod.attempts)


def _ended_as(job: SeenJob) -> JobState | None:
    if job.complete:
        return JobState.SUCCEEDED
    if job.failed:
        return JobState.CANCELLED if job.cancelled and job.ended_as == _DEADLINE else JobState.FAILED
    if job.cancelled and job.suspended and not job.active:
        return JobState.CANCELLED  # it waited to be let in; the deadline that we set ends it if it ever is
    return None


def _index(
    pod: SeenPod | None, overall: JobState | None, job: SeenJob, *, succeeded: bool, failed: bool
) -> IndexStatus:
    if succeeded or overall is JobState.SUCCEEDED:
        return IndexStatus(JobState.SUCCEEDED, exit_code=0, attempts=1 + (pod.failures if pod else 0))
    status = _attempted(pod)
    if failed:
        reason = status.reason or ("KILLED" if status.exit_code is None or status.exit_code > 128 else "")
        return _with(status, JobState.FAILED, reason=reason or f"EXIT_{status.exit_code}")
    if overall is not None:
        if status.exit_code is not None and verdict(status.exit_code) is Verdict.FAIL_JOB:
            return _with(status, JobState.FAILED, reason=status.reason or f"EXIT_{status.exit_code}")
        why = "DEADLINE_EXCEEDED" if job.ended_as == _DEADLINE else "JOB_FAILED"
        return _with(status, overall, reason=status.reason if overall is JobState.CANCELLED else why)
    running = pod is not None and pod.phase == "Running" and not pod.deleting
    return _with(status, JobState.RUNNING if running else JobState.PENDING, reason=status.reason)


def _attempted(pod: SeenPod | None) -> IndexStatus:
    """What the pods until now say; the state is the caller's."""
    if pod is None:
        return IndexStatus(JobState.PENDING)
    if pod.phase != "Failed":
        return IndexStatus(JobState.PENDING, attempts=pod.failures)
    free = pod.disrupted or pod.exit_code == ExitCode.TERMINATED
    return IndexStatus(
        JobState.PENDING,
        exit_code=pod.exit_code,
        attempts=pod.failures + (0 if free else 1),
        reason=pod.reason,
        message=pod.message,
    )


def _with(status: IndexStatus, state: JobState, *, reason: str) -> IndexStatus:
    return IndexStatus(state, status.exit_code, status.attempts, reason, status.message)


def _message(job: SeenJob, overall: JobState, indexes: Mapping[int, IndexStatus]) -> str:
    if overall is JobState.CANCELLED:
        return "cancelled"
    if overall is not JobState.FAILED:
        return ""
    if job.ended_as == _DEADLINE:
        return f"not finished in time ({job.message})"
    for index, status in indexes.items():
        if status.exit_code == ExitCode.BAD_CONFIGURATION:
            return f"index {index}: {status.reason}: {status.message}"
    failed = sum(status.state is JobState.FAILED and status.reason != "JOB_FAILED" for status in indexes.values())
    return f"{failed} of {len(indexes)} indexes failed" if failed else job.message
