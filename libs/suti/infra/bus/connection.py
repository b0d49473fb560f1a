"""The bus: a doorbell over NATS JetStream. Tickets wait in a work queue; announcements ring and are forgotten.

NATS is never the only copy of anything: what is lost with its disk is issued anew from the ledger.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, cast

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.client import JetStreamContext

from suti.core.errors import BadConfiguration, RetryableError
from suti.infra.bus.tickets import ShardTicket
from suti.infra.telemetry.context import outgoing_headers
from suti.infra.telemetry.messaging import sending_ticket

WORK_STREAM = "SUTI_WORK"
WORK_SUBJECTS = "suti.v1.*.shard.>"
EVENT_SUBJECT = "suti.v1.events"

_CALL_S = 10.0
_QUEUED_ALREADY = 10077  # "maximum messages per subject exceeded"
_CLOSE_S = 2.0

_log = logging.getLogger(__name__)


class BusUnavailable(RetryableError):
    """The NATS server did not answer in time."""

    reason: ClassVar[str] = "BUS_UNAVAILABLE"


class BusRefused(BadConfiguration):
    """The NATS server knows us not, or does not let us do this."""

    reason: ClassVar[str] = "BUS_REFUSED"
    grpc_code = "PERMISSION_DENIED"


@dataclass(frozen=True, slots=True)
class Event:
    """An announcement. It says where to look, never what is true."""

    name: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class QueueState:
    """A stage's tickets: those that nobody has yet, and those that a worker holds. `idle` workers wait for one."""

    waiting: int
    working: int
    idle: int = 0


class Bus:
    """One connection to NATS. Reconnects by itself; calls made meanwhile raise BusUnavailable after some seconds."""

    def __init__(self, client: Client, *, replicas: int = 1) -> None:
        self._client = client
        self._replicas = replicas
        self.jetstream: JetStreamContext = client.jetstream(timeout=_CALL_S)

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        replicas: int = 1,
        ca: Path | None = None,
        inbox: str = "_INBOX",
        timeout_s: float = 30.0,
    ) -> Self:
        """A connection to `nats://host:port` (several, separated by commas, for a cluster), shown there as `name`.

        `replicas` is how many servers of the cluster keep each ticket, `ca` the authority (PEM) of the servers'
        certificate if it is no public one, `inbox` the subject below which answers come.

        Raises:
            BusUnavailable: no server answered within `timeout_s`.
            BusRefused: a server answered, and knows neither user nor token; or `ca` cannot be read.
        """
        trust = _trust(ca) if ca is not None else None
        refused: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

        said = ""

        async def on_error(error: Exception) -> None:
            nonlocal said
            if _is_refusal(error) and not refused.done():
                refused.set_result(error)
            text = str(error) or type(error).__name__
            # A server that is away is away several times a second; before it was ever there, whoever waits tells of it.
            quiet = text == said or not connecting.done()
            _log.log(logging.DEBUG if quiet else logging.WARNING, "NATS at %s: %s", url, text)
            said = text

        async def on_reconnected() -> None:
            nonlocal said
            said = ""
            _log.info("NATS at %s is there again", url)

        connecting = asyncio.ensure_future(
            nats.connect(
                [server.strip() for server in url.split(",")],
                name=name,
                user=user,
                password=password,
                token=token,
                tls=trust,
                inbox_prefix=inbox,
                error_cb=on_error,
                reconnected_cb=on_reconnected,
                max_reconnect_attempts=-1,
                reconnect_time_wait=cast("int", 0.25),  # seconds; the annotation is narrower than the code
                connect_timeout=5,
                ping_interval=20,
            )
        )
        await asyncio.wait([connecting, refused], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait([connecting])
        try:
            client = await connecting
        except (asyncio.CancelledError, OSError, nats.errors.Error) as error:
            if refused.done() or _is_refusal(error):
                raise BusRefused(f"NATS at {url} refused {name!r}: check its user, password or token") from error
            why = f"{timeout_s:g} s ({said})" if said else f"{timeout_s:g} s"
            raise BusUnavailable(f"NATS at {url} did not answer within {why}: check that it runs") from error
        return cls(client, replicas=replicas)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether a server is at the other end just now."""
        return self._client.is_connected

    async def ensure_streams(self) -> None:
        """The work queue is there from now on, as this version wants it. Safe to repeat, and for several at once.

        Where it is there already, the right to look at it is enough.
        """
        config = StreamConfig(
            name=WORK_STREAM,
            description="Shards that want doing; each at most once at a time",
            subjects=[WORK_SUBJECTS],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            discard_new_per_subject=True,
            max_msgs_per_subject=1,
            num_replicas=self._replicas,
        )
        async with self._errors("make the work queue"):
            try:
                found = await self.jetstream.stream_info(WORK_STREAM)
                if _same(found.config, config):
                    return
            except nats.js.errors.NotFoundError:
                pass
            try:
                await self.jetstream.add_stream(config)
            except nats.js.errors.BadRequestError:  # there already, with other settings
                await self.jetstream.update_stream(config)

    async def issue(self, ticket: ShardTicket) -> bool:
        """The ticket is in its stage's queue: True if put there now, False if it was there (or in work) already.

        Starts the shard's own trace, linked to the trace that it is called in. Call it as often as wanted.
        """
        with sending_ticket(run_id=ticket.run_id, stage=ticket.stage, shard=ticket.shard, subject=ticket.subject):
            return await self.publish(ticket.subject, ticket.encode(), headers=outgoing_headers())

    async def publish(self, subject: str, body: bytes, *, headers: dict[str, str]) -> bool:
        """The message is in the work queue: True if put there now, False if its subject held one already."""
        for attempt in (1, 2):
            async with self._errors(f"publish on {subject}"):
                try:
                    await self.jetstream.publish(subject, body, headers=dict(headers), timeout=_CALL_S)
                except nats.js.errors.NoStreamResponseError:
                    if attempt == 2:
                        raise
                    await self.ensure_streams()  # the server came back with an empty disk
                    continue
                except nats.js.errors.APIError as error:
                    if error.err_code != _QUEUED_ALREADY:
                        raise
                    return False
            return True
        raise AssertionError("unreachable")

    async def tickets(self, run_id: str) -> set[ShardTicket]:
        """The tickets of a run that are not done: waiting, or in work. Of very many, some may be missing."""
        async with self._errors(f"look at the tickets of run {run_id}"):
            try:
                info = await self.jetstream.stream_info(WORK_STREAM, subjects_filter=f"suti.v1.*.shard.{run_id}.>")
            except nats.js.errors.NotFoundError:  # the server came back with an empty disk
                return set()
        return {ticket for subject in info.state.subjects or {} if (ticket := ShardTicket.at(subject)) is not None}

    async def withdraw(self, run_id: str) -> None:
        """Nobody is given a ticket of that run any more, until new ones are issued. Those in work go on."""
        async with self._errors(f"withdraw the tickets of run {run_id}"):
            await self.jetstream.purge_stream(WORK_STREAM, subject=f"suti.v1.*.shard.{run_id}.>")

    async def queue_state(self, stage: str) -> QueueState:
        """How many of a stage's tickets wait, and how many a worker holds."""
        async with self._errors(f"look at the queue of {stage}"):
            try:
                consumer = await self.jetstream.consumer_info(WORK_STREAM, durable_name(stage), timeout=_CALL_S)
            except nats.js.errors.NotFoundError:  # no worker of this stage was ever here
                return QueueState(waiting=await self._count(stage), working=0)
        # A ticket that is to be tried again later counts as in work, as does one whose worker just died.
        return QueueState(
            waiting=consumer.num_pending or 0, working=consumer.num_ack_pending or 0, idle=consumer.num_waiting or 0
        )

    async def queue_depth(self, stage: str) -> int:
        """How many of a stage's tickets are not done: waiting or in work."""
        state = await self.queue_state(stage)
        return state.waiting + state.working

    async def announce(self, event: str, **fields: str | int | float | bool) -> None:
        """Rings for whoever listens now. Lost if nobody does: what it tells of must stand in the store."""
        async with self._errors(f"announce {event}"):
            await self._client.publish(
                f"{EVENT_SUBJECT}.{event}", json.dumps(fields).encode(), headers=outgoing_headers() or None
            )

    @asynccontextmanager
    async def listen(self, event: str = ">") -> AsyncGenerator[AsyncIterator[Event]]:
        """The announcements of one name (or all), from entering on: `async with bus.listen("committed") as events`."""
        async with self._errors(f"listen to {event}"):
            subscription = await self._client.subscribe(f"{EVENT_SUBJECT}.{event}")
            await self._client.flush(timeout=cast("int", _CALL_S))
        try:
            yield _events(subscription.messages)
        finally:
            if self._client.is_connected:
                await subscription.unsubscribe()

    async def pull(self, stage: str, *, ack_wait_s: float) -> JetStreamContext.PullSubscription:
        """A worker's place at a stage's queue; the stage's durable consumer is made or brought up to date.

        How often a ticket may be delivered is the worker's to judge, so the server sets no limit: a ticket that the
        server gave up would stay in the queue with nobody told.
        """
        config = ConsumerConfig(
            name=durable_name(stage),  # so that the request's subject names the filter, and rights can
            durable_name=durable_name(stage),
            filter_subject=f"suti.v1.{stage}.shard.>",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_deliver=-1,
            max_ack_pending=-1,
        )
        async with self._errors(f"join the queue of {stage}"):
            try:
                await self.jetstream.add_consumer(WORK_STREAM, config, timeout=_CALL_S)
            except nats.js.errors.NotFoundError:
                await self.ensure_streams()
                await self.jetstream.add_consumer(WORK_STREAM, config, timeout=_CALL_S)
            return await self.jetstream.pull_subscribe_bind(durable_name(stage), stream=WORK_STREAM)

    async def answer(self, reply: str, verdict: bytes, *, timeout_s: float = _CALL_S) -> None:
        """The server took our verdict on a delivery (`+ACK`, `+WPI`, ...).

        Raises:
            nats.errors.NoRespondersError: it knows nothing of the delivery's queue any more.
            BusUnavailable: no answer.
        """
        try:
            await self._client.request(reply, verdict, timeout=timeout_s)
        except nats.errors.NoRespondersError:
            raise
        except (TimeoutError, nats.errors.Error, OSError) as error:
            raise BusUnavailable(f"NATS did not take {verdict!r}: the ticket may be delivered again") from error

    async def close(self) -> None:
        """What was published is sent, and the connection ends."""
        if self._client.is_closed:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                if self._client.is_connected:
                    await self._client.flush(timeout=cast("int", _CLOSE_S))
                await self._client.close()
        except (TimeoutError, nats.errors.Error, OSError) as error:
            _log.warning("NATS: connection ended untidily (%s)", error or type(error).__name__)

    async def _count(self, stage: str) -> int:
        try:
            info = await self.jetstream.stream_info(WORK_STREAM, subjects_filter=f"suti.v1.{stage}.shard.>")
        except nats.js.errors.NotFoundError:
            return 0
        return sum((info.state.subjects or {}).values())

    @asynccontextmanager
    async def _errors(self, what: str) -> AsyncGenerator[None]:
        try:
            yield
        except (TimeoutError, nats.errors.Error, OSError) as error:
            if _is_refusal(error):
                raise BusRefused(f"NATS refused to {what} ({error}): check its user's permissions") from error
            raise BusUnavailable(
                f"cannot {what} ({error or type(error).__name__}): safe to repeat; check that NATS runs"
            ) from error


def durable_name(stage: str) -> str:
    """The durable consumer that all workers of a stage share."""
    return f"suti-{stage}"


def _same(found: StreamConfig, wanted: StreamConfig) -> bool:
    """Whether a stream is as `ensure_streams` wants it; the server fills in more than is asked for."""
    names = ("subjects", "retention", "storage", "discard", "discard_new_per_subject", "max_msgs_per_subject")
    return all(getattr(found, name) == getattr(wanted, name) for name in (*names, "num_replicas", "description"))


def _trust(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise BusRefused(
            f"cannot read the authority {ca} of NATS ({error}): correct its path or its content"
        ) from error


async def _events(messages: AsyncIterator[Msg]) -> AsyncGenerator[Event]:
    """The announcements among the messages; what is none is passed over, and logged."""
    async for message in messages:
        try:
            fields = cast("object", json.loads(message.data or b"{}"))
        except ValueError:  # UnicodeDecodeError is one as well
            fields = None
        if isinstance(fields, dict):
            name = message.subject.removeprefix(f"{EVENT_SUBJECT}.")
            yield Event(name=name, fields=cast("dict[str, Any]", fields))
        else:
            _log.warning("%d bytes on %s are no announcement: passed over", len(message.data), message.subject)


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, nats.errors.AuthorizationError) or "authorization violation" in str(error).lower()
