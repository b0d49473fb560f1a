"""What the end of a shard's job means for its ticket."""

from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError, SutiError
from suti.infra.bus.failures import WorkCrashed
from suti.infra.jobs.port import IndexStatus, JobState, JobStatus
from suti.stages.progress import Preempted


class JobFailed(PermanentError):
    """A job found that its input cannot work. The job's own reason stands in front."""

    reason = "JOB_FAILED"


class JobMisconfigured(BadConfiguration):
    """A job found that nothing can work until the operator changes something."""

    reason = "JOB_MISCONFIGURED"


class JobBroke(WorkCrashed):
    """A job crashed, or was killed, as often as it may. Another try of its ticket starts it again, some times."""

    reason = "JOB_BROKE"


class JobUnable(RetryableError):
    """A job found what it needs out of reach, as often as it may try. Another try of its ticket starts it again."""

    reason = "JOB_UNABLE"


def end_of(name: str, shard: int, status: JobStatus) -> SutiError | None:
    """What the end of one shard's index means; None if it succeeded. Call it once the index, or its job, has ended.

    What ended the whole job for its configuration means the same for every shard that it had.
    """
    index = status.indexes.get(shard)
    if index is None:
        return JobBroke(f"job {name} has no shard {shard}: it is started again")
    if index.state is JobState.SUCCEEDED:
        return None
    if index.state is JobState.CANCELLED:
        return Preempted(f"job {name}")
    misconfigured = next((one for one in status.indexes.values() if one.exit_code == ExitCode.BAD_CONFIGURATION), None)
    if status.state is JobState.FAILED and index.reason == "JOB_FAILED" and misconfigured is not None:
        index = misconfigured
    return _meaning(name, index)


def _meaning(name: str, index: IndexStatus) -> SutiError:
    told = f"{index.reason}: {index.message}" if index.reason else index.message
    match index.exit_code:
        case ExitCode.BAD_DATA:
            return JobFailed(told)
        case ExitCode.BAD_CONFIGURATION:
            return JobMisconfigured(told)
        case ExitCode.TRY_AGAIN:
            return JobUnable(f"job {name} gave up for now ({told}): it is started again")
        case _:
            return JobBroke(f"job {name} ended with {index.exit_code} ({told}): see its log")
