"""How a stage's jobs look and what they are called: the same shards are the same job. No torch here."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from suti.infra.jobs.port import GangSize, Jobs, JobSpec, JobStatus
from suti.infra.jobs.ranges import ranges_text

RUN_ID = "SUTI_RUN_ID"  # in a job's environment, for shards of a run

_SETTLES_S = 30.0  # from the end of a job's last index to the end of the job
_LOOK_S = 0.1


@dataclass(frozen=True)
class JobPlan:
    """How a service's jobs look. `environment` goes to all of them: where store, models and telemetry are."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: int = 3
    deadline_s: float | None = None  # of one index with all its attempts
    at_a_time: int | None = None  # indexes of one job; None: as many as the backend has room for
    gang: GangSize | None = None  # several processes for each shard; jobs are then of one shard

    def job(self, name: str, environment: Mapping[str, str], *, indexes: Sequence[int] = (0,)) -> JobSpec:
        """One job of these indexes, with the deadline once for each round of them, as few as surely run at once."""
        rounds = ceil(len(indexes) / (self.at_a_time or 1))
        at_a_time = min(self.at_a_time or len(indexes), len(indexes))
        return JobSpec(
            name=name,
            command=self.command,
            indexes=tuple(indexes),
            environment={**self.environment, **environment},
            parallelism=at_a_time,
            attempts_per_index=self.attempts,
            gang=self.gang,
            deadline_s=None if self.deadline_s is None else self.deadline_s * rounds,
        )


def wave_name(stage: str, run_id: str, shards: Sequence[int]) -> str:
    """The name of the job of these shards: the same work has the same name."""
    if len(shards) == 1:
        return f"{jobs_of_run(stage, run_id)}w{shards[0]}"
    digest = hashlib.sha256(ranges_text(shards).encode()).hexdigest()
    return f"{jobs_of_run(stage, run_id)}w{shards[0]}-{digest[:8]}"


def run_of(stage: str, name: str) -> str | None:
    """The run that a wave's job belongs to; None if it is none of this stage's waves."""
    found = re.fullmatch(rf"suti-{stage}-([0-9a-z]+)-w.*", name)
    return found[1].upper() if found else None


def jobs_of_run(stage: str, run_id: str) -> str:
    """How the names of a run's jobs begin."""
    return f"suti-{stage}-{run_id.lower()}-"


async def start_anew(jobs: Jobs, job: JobSpec) -> None:
    """The job runs from now on; one of that name that has ended, or is about to, is forgotten first."""
    before = await jobs.status(job.name)
    give_up = time.monotonic() + _SETTLES_S
    while before is not None and _is_ending(before) and time.monotonic() < give_up:
        await asyncio.sleep(_LOOK_S)
        before = await jobs.status(job.name)
    if before is not None and before.state.ended:
        await jobs.forget(job.name)
    await jobs.start(job)


def _is_ending(status: JobStatus) -> bool:
    return not status.state.ended and all(index.state.ended for index in status.indexes.values())
