"""What a job's exit code means: the same for every backend."""

from enum import Enum

from suti.core.errors import ExitCode


class Verdict(Enum):
    """What follows from how one attempt ended."""

    DONE = "done"
    RETRY = "retry"  # counts as an attempt
    RETRY_FREE = "retry free"  # was stopped from outside; counts for nothing
    FAIL_INDEX = "fail index"
    FAIL_JOB = "fail job"


_VERDICTS: dict[int, Verdict] = {
    ExitCode.OK: Verdict.DONE,
    ExitCode.BAD_DATA: Verdict.FAIL_INDEX,
    ExitCode.BAD_CONFIGURATION: Verdict.FAIL_JOB,
    ExitCode.TERMINATED: Verdict.RETRY_FREE,
}


def verdict(exit_code: int | None) -> Verdict:
    """What an exit code means; None is a process that left none (killed, or the machine went down)."""
    return _VERDICTS.get(exit_code, Verdict.RETRY) if exit_code is not None else Verdict.RETRY
