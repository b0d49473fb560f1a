"""Takes a stage's tickets, some at a time, and turns what became of them into ack, retry or dead letter."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

import nats.errors
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext
from opentelemetry.trace import Span, Status, StatusCode

from suti.core.errors import BadConfiguration, PermanentError, SutiError
from suti.infra.bus import failures
from suti.infra.bus.connection import Bus, BusUnavailable
from suti.infra.bus.failures import DEFAULT_PATIENCE, Failures, Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket, TicketUnreadable
from suti.infra.dead_letters import DeadLetter, DeadLetters, letter_id
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import current_trace_id
from suti.infra.telemetry.messaging import processing_ticket
from suti.infra.telemetry.outcomes import TicketOutcome

Handle = Callable[[ShardTicket, Lease], Awaitable[None]]

_MOST_AT_ONCE = 256  # tickets that one question may bring
_MORE_S = 0.5  # for them to come; the server says when there are no more
_FETCH_S = 1.0  # how long one question for work stays open; bounds how late a worker notices that it should stop
_PAUSE_S = 0.5  # before asking again after the server did not answer
_REFUSED_PAUSE_S = 2.0  # before asking again after a refusal, while it is open whether this worker can do anything
_WHY_CHARS = 300
_SAID_AGAIN_S = 60.0  # the next try has failed by then as a rule, and says so

_log = logging.getLogger(__name__)


class DeliveriesExhausted(PermanentError):
    """A ticket's workers died (or were killed) each time before they could say why."""

    reason: ClassVar[str] = "DELIVERIES_EXHAUSTED"

    def __init__(self, deliveries: int) -> None:
        super().__init__(
            f"{deliveries} tries, and no worker lived to answer the last: look for lack of memory, then replay"
        )


class Worker:
    """Works on one stage's tickets until told to stop.

    A handler that returns is done with its ticket. What raises is tried again or becomes a dead letter as
    `failures.after` says. An error whose exit code is TERMINATED (the work was asked to stop) costs no attempt.
    A worker that refuses for its configuration, and never could do any ticket, asks for the next one after a pause:
    those that are set up well are faster then.

    `name` tells workers apart that are set up each for themselves; unset: the host's (on Kubernetes the pod's).
    Work that `outlives_worker` (a job) knows by itself how often it died: deaths of its workers are not counted.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stage: str,
        handle: Handle,
        dead_letters: DeadLetters,
        concurrency: int = 1,
        ack_wait_s: float = 30.0,
        patience: Patience = DEFAULT_PATIENCE,
        drain_s: float = 20.0,
        outlives_worker: bool = False,
        name: str | None = None,
    ) -> None:
        self.stage = stage
        self._bus = bus
        self._handle = handle
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._ack_wait_s = ack_wait_s
        self._patience = patience
        self._drain_s = drain_s
        self._outlives_worker = outlives_worker
        self._name = name or socket.gethostname()
        self._proven = False  # has done a ticket, so its configuration is right for some
        self._refused = False  # just now, and never did any
        self._at_work = set[asyncio.Task[None]]()
        self._changed = asyncio.Event()  # a ticket is done with, or it is time to stop
        self._bug: BaseException | None = None
        self._leases: dict[Lease, ShardTicket] = {}

    def in_work(self) -> dict[ShardTicket, Lease]:
        """What is being worked on now: for cancelling (`lease.ask_to_stop()`) and for showing."""
        return {ticket: lease for lease, ticket in self._leases.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, and then no longer than `drain_s`.

        Draining: no new tickets; work in hand may finish; after half of `drain_s` it is asked to stop
        (`lease.stopping()`), at the end of it abandoned and its ticket put back.
        """
        metrics.expect_tickets(stage=self.stage)
        taking = asyncio.create_task(self._take_on(stop), name=f"{self.stage}-tickets")
        stopping = asyncio.create_task(stop.wait())
        try:
            # Taking ends early only by a bug; then the worker ends with its error.
            await asyncio.wait([stopping, taking], return_when=asyncio.FIRST_COMPLETED)
            self._changed.set()
            if stop.is_set():
                await self._settle(taking, self._drain_s / 2)
                for lease in self._leases:
                    lease.ask_to_stop()
                await self._settle(taking, self._drain_s / 2)
        finally:
            tasks = (stopping, taking, *self._at_work)
            for task in tasks:
                task.cancel()
            ends = [*await asyncio.gather(*tasks, return_exceptions=True), self._bug]
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _settle(self, taking: asyncio.Task[None], seconds: float) -> None:
        await asyncio.wait([taking, *self._at_work], timeout=seconds)

    async def _take_on(self, stop: asyncio.Event) -> None:
        """Asks for tickets as long as there is a place for one, and has each worked on by a task of its own."""
        place: JetStreamContext.PullSubscription | None = None
        try:
            while await self._has_place(stop):
                try:
                    place = place or await self._bus.pull(self.stage, ack_wait_s=self._ack_wait_s)
                    if (first := await _fetch(place)) is None:
                        continue
                    await self._begin(first, stop)
                    for message in await _fetch_more(place, self._concurrency - len(self._at_work)):
                        await self._begin(message, stop)
                except (SutiError, nats.errors.Error, OSError) as error:
                    _log.warning("no work for %s just now: %s", self.stage, error or type(error).__name__)
                    if place is not None:
                        await _leave(place)
                        place = None
                    await _pause(stop, _PAUSE_S)
        finally:
            if place is not None:
                await _leave(place)

    async def _has_place(self, stop: asyncio.Event) -> bool:
        """Waits until another ticket may be taken; False if none may be any more."""
        while not stop.is_set():
            if self._bug is not None:
                raise self._bug
            if self._refused:
                self._refused = False
                await _pause(stop, _REFUSED_PAUSE_S)
            elif len(self._at_work) < self._concurrency:
                return True
            else:
                self._changed.clear()
                await self._changed.wait()
        return False

    async def _begin(self, message: Msg, stop: asyncio.Event) -> None:
        if stop.is_set():
            await self._put_back(message, Failures.read(message.headers))
            return
        task = asyncio.create_task(self._work(message), name=message.subject)
        self._at_work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            self._bug = self._bug or task.exception()
        self._changed.set()

    async def _work(self, message: Msg) -> None:
        began = asyncio.get_running_loop().time()
        outcome = await self._take(message)
        if outcome is not TicketOutcome.PUT_OFF:
            metrics.record_ticket(stage=self.stage, outcome=outcome, seconds=asyncio.get_running_loop().time() - began)
        if outcome is TicketOutcome.REFUSED and not self._proven:
            self._refused = True

    async def _take(self, message: Msg) -> TicketOutcome:
        """Does what the message asks for, and answers for it."""
        delivery, before = message.metadata.num_delivered, Failures.read(message.headers)
        if before.wait_s > 0 and delivery == 1:
            with suppress(nats.errors.Error, OSError):  # not heard: delivered again after ack_wait
                await message.nak(delay=before.wait_s)
            return TicketOutcome.PUT_OFF
        try:
            ticket = ShardTicket.decode(message.data)
        except TicketUnreadable as error:
            return await self._bury(message, None, error, before, tries=delivery)
        died = delivery - 1 - (before.wait_s > 0)
        before = replace(
            before, tries=before.tries + died, crashes=before.crashes + (0 if self._outlives_worker else died)
        )
        with processing_ticket(
            run_id=ticket.run_id,
            stage=ticket.stage,
            shard=ticket.shard,
            subject=message.subject,
            delivery=delivery,
            headers=message.headers,
        ) as span:
            if before.crashes >= self._patience.crashes:
                return await self._bury(message, ticket, DeliveriesExhausted(before.tries), before, tries=before.tries)
            return await self._attempt(message, ticket, before, span)

    async def _attempt(self, message: Msg, ticket: ShardTicket, before: Failures, span: Span) -> TicketOutcome:
        """Lets the handler work, and answers for the ticket."""
        began_s = time.time()

        def after(error: Exception) -> Failures | None:
            return failures.after(
                error, before, worker=self._name, began_s=began_s, now_s=time.time(), patience=self._patience
            )

        lease = Lease(
            self._bus,
            message,
            ack_wait_s=self._ack_wait_s,
            tries=before.tries,
            gives_up=lambda error: not failures.is_free(error) and after(error) is None,
        )
        self._leases[lease] = ticket
        try:
            async with lease.held():
                await self._handle(ticket, lease)
        except asyncio.CancelledError:
            await self._put_back(message)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the ticket must not be lost
            return await self._fail(message, ticket, error, before, then=after(error), span=span)
        finally:
            del self._leases[lease]
        self._proven = True
        await self._answer(message, Msg.Ack.Ack)
        return TicketOutcome.DONE

    async def _fail(
        self,
        message: Msg,
        ticket: ShardTicket,
        error: Exception,
        before: Failures,
        *,
        then: Failures | None,
        span: Span,
    ) -> TicketOutcome:
        free = failures.is_free(error)
        _log.log(
            logging.INFO if free else logging.WARNING,
            "%s shard %d of run %s, try %d: %s: %s",
            ticket.stage, ticket.shard, ticket.run_id, before.tries + 1, _reason(error), error,
            exc_info=None if isinstance(error, SutiError) else error,
        )  # fmt: skip
        if free:
            await self._put_back(message)
            return TicketOutcome.PUT_BACK
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, _reason(error)))
        if then is None:
            bad_data = failures.is_bad_data(error)
            return await self._bury(message, ticket, error, before, tries=before.tries + 1, bad_data=bad_data)
        await self._put_back(message, then)
        await self._tell_why(ticket, error, then)
        return TicketOutcome.REFUSED if isinstance(error, BadConfiguration) else TicketOutcome.RETRIED

    async def _tell_why(self, ticket: ShardTicket, error: Exception, then: Failures) -> None:
        """Announces why the ticket is tried again, for whoever asks what its run waits for."""
        why = f"try {then.tries} failed and is repeated ({_reason(error)}: {str(error)[:_WHY_CHARS]})"
        with suppress(SutiError):
            await self._bus.announce(
                "waiting",
                run_id=ticket.run_id,
                stage=ticket.stage,
                job=f"ticket {ticket.shard}",
                shards=str(ticket.shard),
                why=why,
                for_s=then.wait_s + _SAID_AGAIN_S,
            )

    async def _put_back(self, message: Msg, told: Failures | None = None) -> None:
        """The ticket waits anew; it takes `told` along, and has all its tries before it where there is nothing to tell.

        In between it is nowhere: if we die right there, whoever compares ledger and tickets issues it again.
        """
        if await self._answer(message, Msg.Ack.Ack):
            headers = failures.without(message.headers) | (told.header() if told is not None else {})
            try:
                await self._bus.publish(message.subject, message.data, headers=headers)
            except SutiError as error:
                _log.warning("a ticket of %s could not be put back: %s", message.subject, error)

    async def _bury(
        self,
        message: Msg,
        ticket: ShardTicket | None,
        error: Exception,
        before: Failures,
        *,
        tries: int,
        bad_data: bool = False,
    ) -> TicketOutcome:
        meta = message.metadata
        letter = DeadLetter(
            letter_id=letter_id(subject=message.subject, sent_at=meta.timestamp, sequence=meta.sequence.stream),
            subject=message.subject,
            body=message.data,
            reason=_reason(error),
            message=str(error) if isinstance(error, SutiError) else f"{type(error).__name__}: {error}",
            run_id=ticket.run_id if ticket else "",
            stage=ticket.stage if ticket else self.stage,
            shard=ticket.shard if ticket else 0,
            deliveries=tries,
            trace_id=current_trace_id(),
            at=datetime.now(UTC),
            headers=dict(message.headers or {}),
            bad_data=bad_data,
        )
        try:
            await asyncio.to_thread(self._dead_letters.record, letter)
        except Exception as unwritten:  # noqa: BLE001 - the store is down, or worse: keep the ticket until it can be
            _log.warning("could not write a dead letter (%s); the ticket stays in the queue", unwritten)
            await self._put_back(message, replace(before, wait_s=max(self._patience.backoff_s, default=0.0)))
            return TicketOutcome.PUT_BACK
        await self._answer(message, Msg.Ack.Term)
        with suppress(SutiError):
            await self._bus.announce("dead-letter", letter_id=letter.letter_id, run_id=letter.run_id)
        return TicketOutcome.DEAD_LETTER

    async def _answer(self, message: Msg, verdict: bytes) -> bool:
        try:
            await self._bus.answer(message.reply, verdict)
        except (BusUnavailable, nats.errors.NoRespondersError) as error:
            _log.warning("the answer on %s was not heard (%s); it may be delivered again", message.subject, error)
            return False
        return True


async def _fetch(place: JetStreamContext.PullSubscription) -> Msg | None:
    """The next message, None if there is none for now. Raises BusUnavailable if there is nobody to ask."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    try:
        return (await place.fetch(1, timeout=_FETCH_S))[0]
    except TimeoutError as error:
        if loop.time() - asked < _FETCH_S / 2:  # that is how the library says that the consumer is gone
            raise BusUnavailable("the queue is gone: it is made anew") from error
        return None


async def _fetch_more(place: JetStreamContext.PullSubscription, most: int) -> list[Msg]:
    """What else is there just now, at most so many, without waiting for it."""
    if most < 1:
        return []
    with suppress(TimeoutError):
        return await place.fetch(min(most, _MOST_AT_ONCE), timeout=_MORE_S)
    return []


async def _leave(place: JetStreamContext.PullSubscription) -> None:
    with suppress(nats.errors.Error, OSError):
        await place.unsubscribe()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, SutiError) else "UNEXPECTED"
