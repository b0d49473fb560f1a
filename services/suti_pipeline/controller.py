"""Keeps runs moving: compares ledger and tickets again and again, issues what is missing, ends what is over."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched

from suti.core import keys
from suti.core.errors import SutiError
from suti.core.records import Stage
from suti.infra.bus.connection import Bus, Event
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.ranges import ranges_from
from suti.infra.store import Store
from suti.infra.telemetry.context import working_on
from suti.stages.facts import DeadShard, FactsReader, dead_shards
from suti.stages.outcome import end_run, run_is_ended
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.shards import Ending, Wanted, next_tickets

_FEW = 8  # tickets that are sent without asking first which ones are there
_AT_ONCE = 64  # tickets on their way to the server
_SETTLE_S = 0.05  # after an announcement, for the others of its burst
_WAITING_S = 30.0  # launchers say again every few seconds what their jobs wait for

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What some shards wait for, as their launcher or worker said last."""

    until: float  # monotonic: said no more after that
    why: str
    shards: tuple[int, ...]


class Controller:
    """The runs of one store. Several replicas do no harm: tickets are unique and outcomes are written once."""

    def __init__(self, store: Store, bus: Bus, *, reconcile_s: float = 1.0, reissue_s: float = 5.0) -> None:
        self._store = store
        self._bus = bus
        self._reconcile_s = reconcile_s
        self._reissue_s = reissue_s
        self._letters = DeadLetters(store)
        self.facts = FactsReader(store)
        self._specs: dict[str, RunSpec] = {}
        self._ended: set[str] = set()
        self._issued: dict[ShardTicket, float] = {}
        self._rung = asyncio.Event()
        self.progress: dict[tuple[str, str, int], float] = {}  # open work, by announcements alone
        self._waiting: dict[tuple[str, str, str], _Waiting] = {}  # by run, stage and job

    @property
    def waiting(self) -> Mapping[tuple[str, str, int], str]:
        """What shards wait for, as their launchers and workers said not long ago."""
        now = time.monotonic()
        return {
            (run_id, stage, shard): told.why
            for (run_id, stage, _), told in list(self._waiting.items())
            if told.why and told.until > now
            for shard in told.shards
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. What cannot be done now (store or bus away) is tried again at the next look."""
        listening = asyncio.create_task(self._listen(), name="doorbell")
        try:
            while not stop.is_set():
                self._rung.clear()
                began = time.monotonic()
                try:
                    await self.look()
                except (SutiError, OSError) as error:
                    _log.warning("cannot look after runs just now: %s", error)
                if listening.done():  # endless: it ended by a bug, and its error ends the process
                    await listening
                await self._wait(stop, looked_s=time.monotonic() - began)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def ring(self) -> None:
        """Look soon: something has changed."""
        self._rung.set()

    async def look(self) -> None:
        """One look at every run that goes on."""
        runs = await asyncio.to_thread(self._going_on)
        if not runs:
            return
        dead = await asyncio.to_thread(dead_shards, self._letters)
        for spec in runs:
            with working_on(run_id=spec.run_id):
                try:
                    await self._move(spec, dead)
                except Exception as error:  # noqa: BLE001 - one run's trouble is not the others', whatever it is
                    unforeseen = None if isinstance(error, (SutiError, OSError)) else error
                    _log.warning("run %s cannot be moved on just now: %s", spec.run_id, error, exc_info=unforeseen)

    async def _move(self, spec: RunSpec, dead: list[DeadShard]) -> None:
        facts = await asyncio.to_thread(self.facts.read, spec, dead=dead)
        answer = next_tickets(facts)
        if isinstance(answer, Ending):
            await self._end(spec, answer)
            return
        await self._issue(spec.run_id, answer)

    async def _issue(self, run_id: str, wanted: Sequence[Wanted]) -> None:
        """Every wanted ticket is in the queue. Those that should be there already are looked for, not sent again."""
        now = time.monotonic()
        tickets = [ShardTicket(run_id=run_id, stage=one.stage.value, shard=one.shard) for one in wanted]
        due = [ticket for ticket in tickets if now - self._issued.get(ticket, -math.inf) >= self._reissue_s]
        if len(due) > _FEW or any(ticket in self._issued for ticket in due):
            standing = await self._bus.tickets(run_id)
            self._issued.update(dict.fromkeys(standing.intersection(due), now))
            due = [ticket for ticket in due if ticket not in standing]
        for together in batched(due, _AT_ONCE):
            for ticket, fresh in zip(together, await asyncio.gather(*map(self._bus.issue, together)), strict=True):
                if fresh:
                    _log.info("ticket for %s shard %d", ticket.stage, ticket.shard)
                self._issued[ticket] = now

    async def _end(self, spec: RunSpec, ending: Ending) -> None:
        outcome = await asyncio.to_thread(end_run, self._store, spec, ending)
        _log.info("run %s ended: %s %s", spec.run_id, outcome.state, outcome.message)
        self._forget(spec.run_id)
        with suppress(SutiError):
            await self._bus.withdraw(spec.run_id)
            await self._bus.announce("run-ended", run_id=spec.run_id, state=outcome.state.value)

    def _going_on(self) -> list[RunSpec]:
        """The runs without an outcome, oldest first (ULIDs sort by time)."""
        for run_id in self._store.folders(keys.RUNS):
            if run_id not in self._ended and run_id not in self._specs:
                self._meet(run_id)
        for run_id in list(self._specs):
            if run_is_ended(self._store, run_id):
                self._forget(run_id)
        return [self._specs[run_id] for run_id in sorted(self._specs)]

    def _meet(self, run_id: str) -> None:
        """A run that was not known: over already, or to be looked after from now on."""
        if run_is_ended(self._store, run_id):
            self._ended.add(run_id)
            return
        try:
            self._specs[run_id] = load_run_spec(self._store, run_id)
        except SutiError as error:  # being written just now, or by another version
            _log.warning("run %s cannot be read: %s", run_id, error)

    def _forget(self, run_id: str) -> None:
        self._ended.add(run_id)
        self._specs.pop(run_id, None)
        self.facts.forget(run_id)
        for ticket in [ticket for ticket in self._issued if ticket.run_id == run_id]:
            del self._issued[ticket]
        for key in [key for key in self.progress if key[0] == run_id]:
            del self.progress[key]
        for key in [key for key in self._waiting if key[0] == run_id]:
            del self._waiting[key]

    async def _wait(self, stop: asyncio.Event, *, looked_s: float) -> None:
        """Until it is time to look again. Announcements may come without end; looking takes a third of the time."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._rung)]
        try:
            await asyncio.wait(waits, timeout=self._reconcile_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        if self._rung.is_set() and not stop.is_set():
            await asyncio.sleep(min(self._reconcile_s, max(_SETTLE_S, 2 * looked_s)))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._bus.listen() as events:
                    async for event in events:
                        self._hear(event)
            except SutiError as error:
                _log.warning("no announcements just now: %s", error)
            await asyncio.sleep(self._reconcile_s)

    def _hear(self, event: Event) -> None:
        if event.name not in ("progress", "waiting"):
            self._rung.set()
        try:
            run_id, stage = str(event.fields["run_id"]), str(event.fields["stage"])
            if event.name == "committed" and run_id in self._specs:
                self.facts.hint(run_id, Stage(stage), int(event.fields["shard"]))
            if event.name == "waiting" and run_id in self._specs:
                shards = ranges_from(str(event.fields["shards"]))
                until = time.monotonic() + float(event.fields.get("for_s", _WAITING_S))
                told = _Waiting(until, str(event.fields["why"]), shards)
                self._waiting[run_id, stage, str(event.fields["job"])] = told
            if event.name != "progress":
                return
            key = (run_id, stage, int(event.fields["shard"]))
            done, total = float(event.fields["done"]), float(event.fields["total"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if key[0] in self._specs and total > 0:
            self.progress[key] = min(done / total, 1.0)
