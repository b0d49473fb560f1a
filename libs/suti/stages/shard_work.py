"""What every worker does around a shard: not twice, not for a run that is over, in a thread, told to all."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from opentelemetry import trace

from suti.core import keys
from suti.core.errors import SutiError
from suti.infra.bus.connection import Bus
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import ObjectMissing, Store
from suti.infra.telemetry import metrics
from suti.stages.progress import Preempted, Progress, Stopping
from suti.stages.run_spec import RunSpec, load_run_spec

_LOOK_S = 1.0  # between two looks whether the run is over
_TELL_S = 0.5  # between two announcements of progress

_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("suti.stages")


@dataclass(frozen=True)
class Hold:
    """What a shard's work is handed: whom to tell, whom to ask, and the name it writes under."""

    progress: Progress
    stopping: Stopping
    fence: str


# Does one shard, in a thread: `suti.stages.X.run_shard` with the service's models.
RunShard = Callable[[Ledger, RunSpec, int, Hold], Commit]


class ShardWork:
    """Handles one stage's tickets by a function that does a shard. Safe to run twice and to kill at any time."""

    def __init__(self, bus: Bus, store: Store, run: RunShard) -> None:
        self._bus = bus
        self._store = store
        self._run = run

    async def handle(self, ticket: ShardTicket, lease: Lease) -> None:
        """Return = done, or not wanted any more.

        Raises:
            Preempted: the process ends; the ticket goes to another.
            RetryableError, PermanentError: as the stage says.
        """

        async def work(spec: RunSpec, ledger: Ledger) -> Commit:
            tell = Teller(self._bus, ticket, asyncio.get_running_loop())

            def progress(done: int, total: int, note: str) -> None:
                if lease.stopping():
                    raise Preempted(f"shard {ticket.shard} of {ticket.stage}")
                tell(done, total, note)

            hold = Hold(progress=progress, stopping=lease.stopping, fence=lease.fence)
            return await lease.keep_alive(self._run, ledger, spec, ticket.shard, hold)

        await guarded(ticket, lease, bus=self._bus, store=self._store, work=work)


async def guarded(
    ticket: ShardTicket,
    lease: Lease,
    *,
    bus: Bus,
    store: Store,
    work: Callable[[RunSpec, Ledger], Awaitable[Commit]],
    waits: bool = False,
    load: Callable[[Store, str], RunSpec] = load_run_spec,
) -> None:
    """Lets `work` do a ticket's shard, unless it is done or its run is over; afterwards tells that it is committed.

    A run that is cancelled meanwhile asks the work to stop (`lease.stopping()`) within about a second; whatever the
    work then raises, the ticket is done with. Work that only `waits`, with thousands of others, for somebody who looks
    at the run for all of them, is not looked after one by one, and has no span of its own.
    """
    ledger = Ledger(store, ticket.run_id)
    if await asyncio.to_thread(ledger.is_committed, ticket.stage, ticket.shard):
        await tell_committed(bus, ticket)
        return
    if await asyncio.to_thread(run_is_over, store, ticket.run_id):
        return
    try:
        spec = await asyncio.to_thread(load, store, ticket.run_id)
    except ObjectMissing:
        _log.warning("a ticket of run %s, of which there is nothing: it was deleted", ticket.run_id)
        return
    try:
        if waits:
            commit = await work(spec, ledger)
        else:
            with _tracer.start_as_current_span(f"{ticket.stage} shard", attributes={"suti.fence": lease.fence}):
                async with _watched(store, ticket, lease):
                    commit = await work(spec, ledger)
    except Exception:
        if await _over(store, ticket):
            _log.info("%s shard %d stopped: its run is over", ticket.stage, ticket.shard)
            return
        raise
    counts = commit.counts
    metrics.record_shard(
        stage=ticket.stage,
        seconds=commit.seconds,
        items_in=counts.get("items_in", 0),
        items_out=counts.get("items_out", 0),
        dropped=counts.get("dropped", 0),
    )
    await tell_committed(bus, ticket)


def run_is_over(store: Store, run_id: str) -> bool:
    """Whether nobody wants anything of the run any more: it was cancelled, or it has ended."""
    return store.exists(keys.run_cancelled(run_id)) or store.exists(keys.run_outcome(run_id))


async def tell_committed(bus: Bus, ticket: ShardTicket) -> None:
    """Rings for the controller. Nothing is lost if nobody hears it."""
    with suppress(SutiError):
        await bus.announce("committed", run_id=ticket.run_id, stage=ticket.stage, shard=ticket.shard)


class Teller:
    """Announces how far a shard is, from any thread, not too often."""

    def __init__(self, bus: Bus, ticket: ShardTicket, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._ticket = ticket
        self._loop = loop
        self._told_at = 0.0

    def __call__(self, done: int, total: int, note: str) -> None:
        """As `suti.stages.progress.Progress`."""
        now = time.monotonic()
        if now - self._told_at < _TELL_S or self._loop.is_closed():
            return
        self._told_at = now
        asyncio.run_coroutine_threadsafe(self._tell(done, total, note), self._loop)

    async def _tell(self, done: int, total: int, note: str) -> None:
        ticket = self._ticket
        with suppress(SutiError):
            await self._bus.announce(
                "progress", run_id=ticket.run_id, stage=ticket.stage, shard=ticket.shard, done=done, total=total,
                note=note,
            )  # fmt: skip


@asynccontextmanager
async def _watched(store: Store, ticket: ShardTicket, lease: Lease) -> AsyncGenerator[None]:
    """Asks the work to stop once its run is over."""

    async def watch() -> None:
        while not await _over(store, ticket):  # noqa: ASYNC110 - the store rings for nobody
            await asyncio.sleep(_LOOK_S)
        lease.ask_to_stop()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _over(store: Store, ticket: ShardTicket) -> bool:
    """Whether the run is over; no, as long as the store cannot say."""
    try:
        return await asyncio.to_thread(run_is_over, store, ticket.run_id)
    except SutiError:
        return False
