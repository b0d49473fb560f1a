"""What the end of a shard's index means for its ticket."""

from collections.abc import Mapping

import pytest

from suti.core.errors import ExitCode, SutiError
from suti.infra.jobs.port import IndexStatus, JobState, JobStatus
from suti.stages.job_ends import JobBroke, JobFailed, JobMisconfigured, JobUnable, end_of
from suti.stages.progress import Preempted

DONE = IndexStatus(JobState.SUCCEEDED, exit_code=0)


def status(state: JobState, indexes: Mapping[int, IndexStatus]) -> JobStatus:
    return JobStatus(state, indexes)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ExitCode.BAD_DATA, JobFailed),
        (ExitCode.BAD_CONFIGURATION, JobMisconfigured),
        (ExitCode.TRY_AGAIN, JobUnable),
        (137, JobBroke),
        (None, JobBroke),
    ],
)
def test_a_failed_shard_says_why_and_whether_another_try_helps(code: int | None, error: type[SutiError]) -> None:
    failed = IndexStatus(JobState.FAILED, exit_code=code, reason="NO_EXAMPLES", message="no example was kept")

    end = end_of("a-job", 7, status(JobState.FAILED, {6: DONE, 7: failed}))

    assert isinstance(end, error)
    assert "NO_EXAMPLES: no example was kept" in str(end)


def test_a_shard_that_succeeded_is_no_error_whatever_became_of_the_others() -> None:
    failed = IndexStatus(JobState.FAILED, exit_code=65)

    assert end_of("a-job", 6, status(JobState.FAILED, {6: DONE, 7: failed})) is None


def test_a_cancelled_shard_costs_no_attempt() -> None:
    assert isinstance(end_of("a-job", 0, status(JobState.CANCELLED, {0: IndexStatus(JobState.CANCELLED)})), Preempted)


def test_what_another_shard_found_wrong_with_the_configuration_is_told_by_all() -> None:
    misconfigured = IndexStatus(JobState.FAILED, exit_code=78, reason="NO_MODELS", message="mount them")
    stopped = IndexStatus(JobState.FAILED, exit_code=143, reason="JOB_FAILED")

    end = end_of("a-job", 0, status(JobState.FAILED, {0: stopped, 1: misconfigured}))

    assert isinstance(end, JobMisconfigured)
    assert str(end) == "NO_MODELS: mount them"


def test_a_shard_that_its_job_does_not_have_is_started_again() -> None:
    assert isinstance(end_of("a-job", 5, status(JobState.SUCCEEDED, {0: DONE})), JobBroke)
