"""What a job's end means for its ticket, and what its name is."""

import pytest

from suti.core.errors import ExitCode, SutiError
from suti.core.ids import new_run_id
from suti.infra.jobs.port import IndexStatus, JobState
from suti.stages.launched_work import (
    JobBroke,
    JobFailed,
    JobMisconfigured,
    JobPlan,
    JobUnable,
    job_name,
    raise_for,
)
from suti.stages.progress import Preempted


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
def test_a_failed_job_says_why_and_whether_another_try_helps(code: int | None, error: type[SutiError]) -> None:
    status = IndexStatus(JobState.FAILED, exit_code=code, reason="NO_EXAMPLES", message="no example was kept")

    with pytest.raises(error, match="NO_EXAMPLES: no example was kept"):
        raise_for("a-job", status, JobState.FAILED)


def test_a_job_that_succeeded_raises_nothing_and_a_cancelled_one_costs_no_attempt() -> None:
    raise_for("a-job", IndexStatus(JobState.SUCCEEDED, exit_code=0), JobState.SUCCEEDED)

    with pytest.raises(Preempted):
        raise_for("a-job", IndexStatus(JobState.CANCELLED), JobState.CANCELLED)


def test_the_longest_name_of_a_shards_job_is_one_that_kubernetes_takes() -> None:
    name = job_name("apprentice", new_run_id(), 999_999)

    assert JobPlan(command=("true",)).job(name, {}).name == name
