"""Shards that are done by jobs of their own: started, watched, stopped, and judged by how they ended. No torch here."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError, SutiError
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import WorkCrashed
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.jobs.port import IndexStatus, Jobs, JobSpec, JobState
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages.progress import Preempted
from suti.stages.run_spec import RunSpec
from suti.stages.shard_work import Teller, guarded, run_is_over

RUN_ID, SHARD = "SUTI_RUN_ID", "SUTI_SHARD"  # in a job's environment, for a shard of a run

_LOOK_S = 0.25
_WHY_S = 5.0  # between two looks at what a job waits for

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class JobPlan:
    """How a stage's jobs look. `environment` goes to all of them: where store, models and telemetry are."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    attempts: int = 3
    deadline_s: float | None = None  # from start to end of one job, all its attempts together

    def job(self, name: str, environment: Mapping[str, str]) -> JobSpec:
        """One job of one index."""
        return JobSpec(
            name=name,
            command=self.command,
            indexes=(0,),
            environment={**self.environment, **environment},
            attempts_per_index=self.attempts,
            deadline_s=self.deadline_s,
        )


def job_name(stage: str, run_id: str, shard: int) -> str:
    """The name of the job of one shard: the same work has the same name."""
    return f"suti-{stage}-{run_id.lower()}-{shard}"


class LaunchedWork:
    """Handles one stage's tickets by jobs. Safe to run twice: a job of the same name is never a second one."""

    def __init__(self, bus: Bus, store: Store, jobs: Jobs, plan: JobPlan) -> None:
        self._bus = bus
        self._store = store
        self._jobs = jobs
        self._plan = plan

    async def handle(self, ticket: ShardTicket, lease: Lease) -> None:
        """Return = done, or not wanted any more.

        Raises:
            Preempted: this process ends; the job goes on or starts again with the next launcher.
            JobFailed, JobMisconfigured, JobUnable, JobBroke: as the job ended.
        """

        async def work(spec: RunSpec, ledger: Ledger) -> Commit:
            name = job_name(ticket.stage, ticket.run_id, ticket.shard)
            await start_anew(self._jobs, self._plan.job(name, {RUN_ID: ticket.run_id, SHARD: str(ticket.shard)}))
            try:
                await self._ended(name, ticket, lease)
            finally:
                await self._cancel_if_over(name, ticket)
            commit = await asyncio.to_thread(ledger.get, ticket.stage, ticket.shard)
            await self._release(name)
            return commit

        await guarded(ticket, lease, bus=self._bus, store=self._store, work=work)

    async def _ended(self, name: str, ticket: ShardTicket, lease: Lease) -> None:
        tell = Teller(self._bus, ticket, asyncio.get_running_loop())
        asked_at, why = -math.inf, ""
        while True:
            status = await self._jobs.status(name)
            if status is None:
                raise JobBroke(f"job {name} is gone: somebody deleted it; it is started again")
            if status.state.ended:
                raise_for(name, status.indexes[0], status.state)
                return
            if lease.stopping():
                raise Preempted(f"job {name}")
            for progress in (await self._jobs.progress(name)).values():
                tell(progress.done, progress.total, progress.note)
            if time.monotonic() - asked_at > _WHY_S:
                asked_at, before = time.monotonic(), why
                why = await self._tell_why(name, ticket, before)
            await asyncio.sleep(_LOOK_S)

    async def _tell_why(self, name: str, ticket: ShardTicket, before: str) -> str:
        """Announces what the job waits for, and once that it waits no more; repeated, for who came later."""
        with suppress(SutiError):
            why = await self._jobs.waits_for(name)
            if why and why != before:
                _log.info("job %s: %s", name, why)
            if why or before:
                await self._bus.announce(
                    "waiting", run_id=ticket.run_id, stage=ticket.stage, shard=ticket.shard, why=why
                )
            return why
        return before

    async def _release(self, name: str) -> None:
        try:
            await self._jobs.release(name)
        except SutiError as error:  # it stays a little longer: its run is not held up by that
            _log.warning("could not release job %s: %s", name, error)

    async def _cancel_if_over(self, name: str, ticket: ShardTicket) -> None:
        try:
            over = await asyncio.to_thread(run_is_over, self._store, ticket.run_id)
        except SutiError:
            return
        if over:
            await self._jobs.cancel(name)


async def start_anew(jobs: Jobs, job: JobSpec) -> None:
    """The job runs from now on; one of that name that has ended is forgotten first."""
    before = await jobs.status(job.name)
    if before is not None and before.state.ended:
        await jobs.forget(job.name)
    await jobs.start(job)


def raise_for(name: str, index: IndexStatus, state: JobState) -> None:
    """Does nothing for a job that succeeded, and raises what the failure of another means."""
    if state is JobState.SUCCEEDED:
        return
    if state is JobState.CANCELLED:
        raise Preempted(f"job {name}")
    told = f"{index.reason}: {index.message}" if index.reason else index.message
    match index.exit_code:
        case ExitCode.BAD_DATA:
            raise JobFailed(told)
        case ExitCode.BAD_CONFIGURATION:
            raise JobMisconfigured(told)
        case ExitCode.TRY_AGAIN:
            raise JobUnable(f"job {name} gave up for now ({told}): it is started again")
        case _:
            raise JobBroke(f"job {name} ended with {index.exit_code} ({told}): see its log")
