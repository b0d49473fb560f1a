"""Shards that are ready about the same time become one job, an index each: a wave. No torch here.

Who has a shard's ticket waits in `Waves.done` for that shard alone; the waves are what makes ten thousand of them a
dozen jobs. A job's name follows from its shards, what it has done is in the ledger, and what it is doing the backend
tells: so a launcher that starts anew finds its shards in the jobs that are there, and two launchers do no harm.
"""

import asyncio
import logging
import math
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext

from suti.core.errors import SutiError
from suti.infra.bus.connection import Bus
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.jobs.environment import TRACEPARENT
from suti.infra.jobs.port import Jobs, JobState, JobStatus
from suti.infra.jobs.ranges import ranges_text
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.infra.telemetry.context import outgoing_headers, working_on
from suti.stages.job_ends import JobBroke, end_of
from suti.stages.progress import Preempted
from suti.stages.shard_work import Teller, run_is_over
from suti.stages.wave_jobs import RUN_ID, JobPlan, jobs_of_run, run_of, start_anew, wave_name

_LOOK_S = 0.25  # between two looks at a job of few shards; it is asked from memory
_ROOM_S = 0.5  # between two looks whether another job may be started
_OVER_S = 1.0  # between two looks whether the run is over
_WHY_S = 5.0  # between two looks at what a job waits for
_TIDY_S = 30.0  # between two looks at jobs that nobody waits for
_MANY = 100  # shards; what costs something for each is done less often above
_MOST_LINKS = 100  # of a wave's span to those of its shards

_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("suti.stages")


@dataclass(frozen=True)
class Gathering:
    """How waves come about."""

    wait_s: float = 0.5  # from the first ticket to the launch: what else comes meanwhile goes along
    most: int = 1_000  # shards of one job
    at_once: int | None = None  # shards in jobs at a time; None: all

    @property
    def together(self) -> int:
        """Shards of one job: of those that may be at once a quarter, so that the next come before the last go."""
        return self.most if self.at_once is None else min(self.most, max(1, self.at_once // 4))


@dataclass(eq=False, slots=True)
class _Member:
    """One ticket in hand, and what its shard's index came to (None: it succeeded), once that is known."""

    ticket: ShardTicket
    lease: Lease
    tell: Teller
    asked: SpanContext
    traceparent: str
    ended: asyncio.Future[SutiError | None]

    def settle(self, error: SutiError | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


@dataclass(eq=False, slots=True)
class _Wave:
    """One job that somebody here waits for."""

    name: str
    run_id: str
    members: set[_Member] = field(default_factory=set[_Member])
    committed: set[int] = field(default_factory=set[int])
    why: str = ""


class Waves:
    """One stage's jobs, as seen by one launcher."""

    def __init__(
        self, bus: Bus, store: Store, jobs: Jobs, plan: JobPlan, *, stage: str, gathering: Gathering | None = None
    ) -> None:
        self._bus = bus
        self._store = store
        self._jobs = jobs
        self._plan = plan
        self._stage = stage
        self._gather = gathering or Gathering()
        self._gathering: dict[str, list[_Member]] = {}  # by run
        self._waves: dict[str, _Wave] = {}  # by job
        self._tasks = set[asyncio.Task[None]]()
        self._released = set[str]()

    async def done(self, ticket: ShardTicket, lease: Lease) -> Commit:
        """The shard's commit, once its index of some job succeeded.

        Raises:
            Preempted: the lease asks to stop, or the job was cancelled; the job goes on or starts again later.
            JobFailed, JobMisconfigured, JobUnable, JobBroke: as the index ended.
            SutiError: what kept the job from being started.
        """
        loop = asyncio.get_running_loop()
        member = _Member(
            ticket=ticket,
            lease=lease,
            tell=Teller(self._bus, ticket, loop),
            asked=trace.get_current_span().get_span_context(),
            traceparent=outgoing_headers().get("traceparent", ""),
            ended=loop.create_future(),
        )
        self._join_next(member)
        try:
            if (error := await member.ended) is not None:
                raise error.with_traceback(None)  # many wait for the same one
            commit = await asyncio.to_thread(Ledger(self._store, ticket.run_id).get, ticket.stage, ticket.shard)
            for wave in self._waves.values():
                if member in wave.members:
                    wave.committed.add(ticket.shard)
            return commit
        finally:
            for wave in self._waves.values():
                wave.members.discard(member)

    async def keep_tidy(self, stop: asyncio.Event) -> None:
        """Until `stop`: jobs that nobody here waits for are cancelled with their run, released once committed."""
        while not stop.is_set():
            try:
                await self.tidy()
            except SutiError as error:
                _log.warning("cannot look after jobs of %s just now: %s", self._stage, error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TIDY_S)

    async def tidy(self) -> None:
        """One such look. Raises what jobs and store raise."""
        standing = await self._jobs.standing(f"suti-{self._stage}-")
        self._released &= standing.keys()
        over: dict[str, bool] = {}
        for name, shards in standing.items():
            run_id = run_of(self._stage, name)
            if run_id is None or name in self._waves or name in self._released:
                continue
            if run_id not in over:
                over[run_id] = await asyncio.to_thread(run_is_over, self._store, run_id)
            status = await self._jobs.status(name)
            if status is None:
                continue
            if not status.state.ended:
                if over[run_id] and not await asyncio.to_thread(self._all_committed, run_id, shards):
                    _log.info("cancelling job %s: its run is over", name)
                    await self._jobs.cancel(name)
            elif over[run_id] or await asyncio.to_thread(self._all_committed, run_id, shards):
                await self._jobs.release(name)
                self._released.add(name)

    def _all_committed(self, run_id: str, shards: Iterable[int]) -> bool:
        ledger = Ledger(self._store, run_id)
        return all(ledger.is_committed(self._stage, shard) for shard in shards)

    # A wave comes about.

    def _join_next(self, member: _Member) -> None:
        gathered = self._gathering.setdefault(member.ticket.run_id, [])
        gathered.append(member)
        if len(gathered) == 1:
            self._spawn(self._launch_soon(member.ticket.run_id))

    async def _launch_soon(self, run_id: str) -> None:
        await asyncio.sleep(self._gather.wait_s)
        members = [member for member in self._gathering.pop(run_id) if not member.ended.done()]
        try:
            await self._launch(run_id, members)
        except SutiError as error:
            self._settle_jobless(members, error)
        except Exception as error:  # noqa: BLE001 - the tickets must not wait for ever, whatever it is
            _log.exception("launching shards of run %s failed", run_id)
            broke = JobBroke(f"its job could not be launched ({error!r}): it is tried again; see the log")
            self._settle_jobless(members, broke)

    def _settle_jobless(self, members: Iterable[_Member], error: SutiError) -> None:
        """What kept a job from being started is told to those that have none: the jobs of others run."""
        followed = {member for wave in self._waves.values() for member in wave.members}
        for member in members:
            if member not in followed:
                member.settle(error)

    async def _launch(self, run_id: str, members: Sequence[_Member]) -> None:
        """Each member waits for a job from now on: one that has its shard in hand already, or a new one."""
        left: dict[int, list[_Member]] = {}
        for member in members:
            left.setdefault(member.ticket.shard, []).append(member)
        for name, shards in (await self._jobs.standing(jobs_of_run(self._stage, run_id))).items():
            shared = left.keys() & set(shards)
            status = await self._jobs.status(name) if shared and run_of(self._stage, name) else None
            if status is None or status.state.ended:
                continue
            living = [shard for shard in shared if not status.indexes[shard].state.ended]
            self._wait_for(name, run_id, [member for shard in living for member in left.pop(shard)])
        for shards in batched(sorted(left), self._gather.together):
            together = await self._wait_for_room(run_id, [member for shard in shards for member in left[shard]])
            if not (shards := tuple(sorted({member.ticket.shard for member in together}))):
                continue
            name = wave_name(self._stage, run_id, shards)
            environment = {RUN_ID: run_id, TRACEPARENT: self._trace(run_id, name, together)}
            await start_anew(self._jobs, self._plan.job(name, environment, indexes=shards))
            _log.info("job %s: %d shards of %s (%s)", name, len(shards), self._stage, ranges_text(shards)[:200])
            self._wait_for(name, run_id, together)

    async def _wait_for_room(self, run_id: str, members: Sequence[_Member]) -> list[_Member]:
        """Those that still want a job, once one may be started."""
        over = False
        while True:
            for member in members:
                if over or member.lease.stopping():
                    member.settle(Preempted(f"shard {member.ticket.shard}"))
            left = [member for member in members if not member.ended.done()]
            unfinished = sum(len(wave.members) for wave in self._waves.values())
            at_once = self._gather.at_once
            if at_once is None or not left or not unfinished or unfinished + len(left) <= at_once:
                return left
            await asyncio.sleep(_ROOM_S)
            with suppress(SutiError):
                over = await asyncio.to_thread(run_is_over, self._store, run_id)

    def _trace(self, run_id: str, name: str, members: Sequence[_Member]) -> str:
        """What the job's pods are told as their parent: the shard's own span, or one that is linked to those of all."""
        if len(members) == 1:
            return members[0].traceparent
        links = [Link(member.asked) for member in members[:_MOST_LINKS] if member.asked.is_valid]
        with (
            working_on(run_id=run_id, stage=self._stage),
            _tracer.start_as_current_span(
                f"{self._stage} wave", links=links, attributes={"suti.job": name, "suti.shards": len(members)}
            ),
        ):
            return outgoing_headers().get("traceparent", "")

    # A wave is waited for.

    def _wait_for(self, name: str, run_id: str, members: Sequence[_Member]) -> None:
        if not members:
            return
        if name in self._waves:
            self._waves[name].members.update(members)
            return
        wave = self._waves[name] = _Wave(name, run_id, set(members))
        self._spawn(self._follow(wave))

    async def _follow(self, wave: _Wave) -> None:
        """Until nobody waits for it any more."""
        over_at = told_at = why_at = -math.inf
        status: JobStatus | None = None
        try:
            while wave.members:
                many = len(wave.members) > _MANY
                status = await self._jobs.status(wave.name)
                self._settle(wave, status)
                now = time.monotonic()
                if now - over_at > _OVER_S:
                    over_at = now
                    await self._cancel_if_over(wave, status)
                if now - told_at > len(wave.members) / _MANY:
                    told_at = now
                    await self._tell_progress(wave)
                if now - why_at > _WHY_S and status is not None:
                    why_at = now
                    await self._tell_why(wave, status)
                await asyncio.sleep(_LOOK_S * (4 if many else 1))
        except SutiError as error:
            self._settle_all(wave, error)
        except Exception as error:  # noqa: BLE001 - the tickets must not wait for ever, whatever it is
            _log.exception("following job %s failed", wave.name)
            self._settle_all(wave, JobBroke(f"job {wave.name} cannot be followed ({error!r}): see the log"))
        finally:
            del self._waves[wave.name]
        await self._release_if_done(wave, status)

    def _settle(self, wave: _Wave, status: JobStatus | None) -> None:
        """Those whose shard's end is known, or who may wait no longer, are told."""
        if status is None:
            self._settle_all(wave, JobBroke(f"job {wave.name} is gone: somebody deleted it; it is started again"))
            return
        for member in wave.members:
            if member.ended.done():
                continue
            index = status.indexes.get(member.ticket.shard)
            if status.state.ended or index is None or index.state.ended:
                member.settle(end_of(wave.name, member.ticket.shard, status))
            elif member.lease.stopping():
                member.settle(Preempted(f"job {wave.name}"))

    @staticmethod
    def _settle_all(wave: _Wave, error: SutiError) -> None:
        for member in wave.members:
            member.settle(error)

    async def _cancel_if_over(self, wave: _Wave, status: JobStatus | None) -> None:
        """A job that has done all its work is left to end: a run is over with its last commit, before that pod is."""
        with suppress(SutiError):  # as long as the store cannot say, it is not
            if not await asyncio.to_thread(run_is_over, self._store, wave.run_id):
                return
            if status is not None and await asyncio.to_thread(self._all_committed, wave.run_id, status.indexes):
                return
            for member in wave.members:
                member.lease.ask_to_stop()
            await self._jobs.cancel(wave.name)

    async def _tell_progress(self, wave: _Wave) -> None:
        try:
            said = await self._jobs.progress(wave.name)
        except SutiError as error:
            _log.warning("cannot see how far job %s is: %s", wave.name, error)
            return
        for member in wave.members:
            if (progress := said.get(member.ticket.shard)) is not None and not member.ended.done():
                member.tell(progress.done, progress.total, progress.note)

    async def _tell_why(self, wave: _Wave, status: JobStatus) -> None:
        """Announces what the job waits for, and once that it waits no more; repeated, for who came later."""
        with suppress(SutiError):
            why = await self._jobs.waits_for(wave.name)
            if why and why != wave.why:
                _log.info("job %s: %s", wave.name, why)
            if why or wave.why:
                pending = [shard for shard, index in status.indexes.items() if index.state is JobState.PENDING]
                await self._bus.announce(
                    "waiting",
                    run_id=wave.run_id,
                    stage=self._stage,
                    job=wave.name,
                    shards=ranges_text(pending) if why else "",
                    why=why,
                )
            wave.why = why

    async def _release_if_done(self, wave: _Wave, status: JobStatus | None) -> None:
        if status is None or not wave.committed.issuperset(status.indexes):
            return
        try:
            await self._jobs.release(wave.name)
            self._released.add(wave.name)
        except SutiError as error:  # it stays a little longer
            _log.warning("could not release job %s: %s", wave.name, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
