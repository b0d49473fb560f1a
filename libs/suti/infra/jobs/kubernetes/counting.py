"""What of a launcher's jobs becomes a number: how attempts ended, and which jobs wait."""

from collections.abc import Mapping

from suti.core.errors import ExitCode
from suti.infra.jobs.kubernetes.seen import Seen, SeenJob, SeenPod
from suti.infra.jobs.verdicts import Verdict, verdict
from suti.infra.telemetry.outcomes import AttemptOutcome


def attempt_outcome(pod: SeenPod, job: SeenJob | None) -> AttemptOutcome | None:
    """How the attempt of a pod that ended is counted; None if somebody wanted it to end."""
    if pod.phase == "Succeeded":
        return AttemptOutcome.SUCCEEDED
    if job is not None and (job.cancelled or job.deleting):
        return None
    if pod.disrupted or pod.exit_code == ExitCode.TERMINATED:
        return AttemptOutcome.PREEMPTED
    for_good = verdict(pod.exit_code) in (Verdict.FAIL_INDEX, Verdict.FAIL_JOB)
    if for_good or (job is not None and pod.failures + 1 >= job.attempts):
        return AttemptOutcome.FAILED
    return AttemptOutcome.RETRIED


def jobs_by_state(seen: Seen) -> Mapping[str, int]:
    """How many jobs have a pod that runs, and how many have none and wait; ended ones are not counted.

    A pod that is being deleted is none that runs: on a node that died it looks so for ever.
    """
    found = {"running": 0, "pending": 0}
    for job in seen.jobs():
        if not (job.ended or job.deleting or job.cancelled):
            runs = any(pod.phase == "Running" and not pod.deleting for pod in seen.pods(job.name).values())
            found["running" if runs else "pending"] += 1
    return found
