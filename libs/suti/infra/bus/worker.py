"""Takes a stage's tickets, one at a time per place, and turns what became of them into ack, retry or dead letter."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import nats.errors
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext
from opentelemetry.trace import Span, Status, StatusCode

from suti.core.errors import ExitCode, PermanentError, SutiError
from suti.infra.bus.connection import Bus, BusUnavailable
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket, TicketUnreadable
from suti.infra.dead_letters import DeadLetter, DeadLetters, letter_id
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import current_trace_id
from suti.infra.telemetry.messaging import processing_ticket

Handle = Callable[[ShardTicket, Lease], Awaitable[None]]

_FETCH_S = 1.0  # how long one question for work stays open; bounds how late a worker notices that it should stop
_PAUSE_S = 0.5  # before asking again after the server did not answer

_log = logging.getLogger(__name__)


class DeliveriesExhausted(PermanentError):
    """A ticket's workers died (or were killed) each time before they could say why."""

    reason: ClassVar[str] = "DELIVERIES_EXHAUSTED"

    def __init__(self, deliveries: int) -> None:
        super().__init__(
            f"{deliveries} deliveries, and no worker lived to answer the last: look for lack of memory, then replay"
        )


@dataclass(frozen=True)
class _Failure:
    """What a handler's error means for its ticket."""

    reason: str
    message: str
    hopeless: bool  # no retry can help
    free: bool  # the attempt does not count: the work was asked to stop


class Worker:
    """Works on one stage's tickets until told to stop.

    A handler that returns is done with its ticket. RetryableError: delivered again after a while. PermanentError, or a
    failure at the last delivery: a dead letter. Any other exception is retried as well, for it may come from the
    machine. An error whose exit code is TERMINATED (the work was asked to stop) costs no attempt.
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
        max_deliveries: int = 5,
        backoff_s: Sequence[float] = (1.0, 5.0, 20.0, 60.0),
        drain_s: float = 20.0,
    ) -> None:
        self.stage = stage
        self._bus = bus
        self._handle = handle
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._ack_wait_s = ack_wait_s
        self._max_deliveries = max_deliveries
        self._backoff_s = tuple(backoff_s)
        self._drain_s = drain_s
        self._leases: dict[Lease, ShardTicket] = {}

    def in_work(self) -> dict[ShardTicket, Lease]:
        """What is being worked on now: for cancelling (`lease.ask_to_stop()`) and for showing."""
        return {ticket: lease for lease, ticket in self._leases.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, and then no longer than `drain_s`.

        Draining: no new tickets; work in hand may finish; after half of `drain_s` it is asked to stop
        (`lease.stopping()`), at the end of it abandoned and its ticket put back.
        """
        places = [asyncio.create_task(self._work(stop), name=f"{self.stage}-{n}") for n in range(self._concurrency)]
        stopping = asyncio.create_task(stop.wait())
        try:
            # A place ends early only by a bug; then the worker ends with its error.
            await asyncio.wait([stopping, *places], return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await asyncio.wait(places, timeout=self._drain_s / 2)
                for lease in self._leases:
                    lease.ask_to_stop()
                await asyncio.wait(places, timeout=self._drain_s / 2)
        finally:
            for task in (stopping, *places):
                task.cancel()
            ends = await asyncio.gather(*places, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _work(self, stop: asyncio.Event) -> None:
        place: JetStreamContext.PullSubscription | None = None
        try:
            while not stop.is_set():
                try:
                    place = place or await self._bus.pull(self.stage, ack_wait_s=self._ack_wait_s)
                    message = await _fetch(place)
                except (SutiError, nats.errors.Error, OSError) as error:
                    _log.warning("no work for %s just now: %s", self.stage, error or type(error).__name__)
                    if place is not None:
                        await _leave(place)
                        place = None
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), _PAUSE_S)
                    continue
                if message is None:
                    continue
                if stop.is_set():
                    await self._put_back(message)
                    return
                await self._take(message)
        finally:
            if place is not None:
                await _leave(place)

    async def _take(self, message: Msg) -> None:
        delivery = message.metadata.num_delivered
        try:
            ticket = ShardTicket.decode(message.data)
        except TicketUnreadable as error:
            await self._bury(message, None, _failure(error))
            return
        with processing_ticket(
            run_id=ticket.run_id,
            stage=ticket.stage,
            shard=ticket.shard,
            subject=message.subject,
            delivery=delivery,
            headers=message.headers,
        ) as span:
            if delivery > self._max_deliveries:
                await self._bury(message, ticket, _failure(DeliveriesExhausted(delivery - 1)))
                return
            began = asyncio.get_running_loop().time()
            outcome = await self._attempt(message, ticket, span)
            metrics.record_ticket(stage=self.stage, outcome=outcome, seconds=asyncio.get_running_loop().time() - began)

    async def _attempt(self, message: Msg, ticket: ShardTicket, span: Span) -> str:
        """Lets the handler work, and answers for the ticket. Returns the outcome, for the metrics."""
        lease = Lease(self._bus, message, ack_wait_s=self._ack_wait_s)
        self._leases[lease] = ticket
        try:
            async with lease.held():
                await self._handle(ticket, lease)
        except asyncio.CancelledError:
            await self._put_back(message)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the ticket must not be lost
            return await self._fail(message, ticket, error, span)
        finally:
            del self._leases[lease]
        await self._answer(message, Msg.Ack.Ack)
        return "done"

    async def _fail(self, message: Msg, ticket: ShardTicket, error: Exception, span: Span) -> str:
        failure = _failure(error)
        delivery = message.metadata.num_delivered
        _log.log(
            logging.INFO if failure.free else logging.WARNING,
            "%s shard %d of run %s, delivery %d: %s: %s",
            ticket.stage, ticket.shard, ticket.run_id, delivery, failure.reason, failure.message,
            exc_info=None if isinstance(error, SutiError) else error,
        )  # fmt: skip
        if failure.free:
            await self._put_back(message)
            return "put back"
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, failure.reason))
        if failure.hopeless or delivery >= self._max_deliveries:
            await self._bury(message, ticket, failure)
            return "dead letter"
        await self._retry_later(message)
        return "retried"

    async def _retry_later(self, message: Msg) -> None:
        tried = message.metadata.num_delivered
        delay_s = self._backoff_s[min(tried, len(self._backoff_s)) - 1] if self._backoff_s else 0.0
        with suppress(nats.errors.Error, OSError):  # not heard: delivered again after ack_wait
            await message.nak(delay=delay_s)

    async def _put_back(self, message: Msg) -> None:
        """The ticket waits anew, with all its attempts before it.

        In between it is nowhere: if we die right there, whoever compares ledger and tickets issues it again.
        """
        if await self._answer(message, Msg.Ack.Ack):
            try:
                await self._bus.publish(message.subject, message.data, headers=message.headers or {})
            except SutiError as error:
                _log.warning("a ticket of %s could not be put back: %s", message.subject, error)

    async def _bury(self, message: Msg, ticket: ShardTicket | None, failure: _Failure) -> None:
        meta = message.metadata
        letter = DeadLetter(
            letter_id=letter_id(subject=message.subject, sent_at=meta.timestamp, sequence=meta.sequence.stream),
            subject=message.subject,
            body=message.data,
            reason=failure.reason,
            message=failure.message,
            run_id=ticket.run_id if ticket else "",
            stage=ticket.stage if ticket else self.stage,
            shard=ticket.shard if ticket else 0,
            deliveries=min(meta.num_delivered, self._max_deliveries),
            trace_id=current_trace_id(),
            at=datetime.now(UTC),
            headers=dict(message.headers or {}),
        )
        try:
            await asyncio.to_thread(self._dead_letters.record, letter)
        except Exception as error:  # noqa: BLE001 - the store is down, or worse: keep the ticket until it can be written
            _log.warning("could not write a dead letter (%s); the ticket stays in the queue", error)
            await self._retry_later(message)
            return
        await self._answer(message, Msg.Ack.Term)
        with suppress(SutiError):
            await self._bus.announce("dead-letter", letter_id=letter.letter_id, run_id=letter.run_id)

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


async def _leave(place: JetStreamContext.PullSubscription) -> None:
    with suppress(nats.errors.Error, OSError):
        await place.unsubscribe()


def _failure(error: Exception) -> _Failure:
    if isinstance(error, SutiError):
        return _Failure(
            reason=error.reason,
            message=str(error),
            hopeless=isinstance(error, PermanentError),
            free=error.exit_code == ExitCode.TERMINATED,
        )
    return _Failure(reason="UNEXPECTED", message=f"{type(error).__name__}: {error}", hopeless=False, free=False)
