"""A worker's hold on one ticket: renewed while work goes on, off the event loop."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import ClassVar

import nats.errors
from nats.aio.msg import Msg
from ulid import ULID

from suti.core.errors import RetryableError
from suti.infra.bus.connection import Bus, BusUnavailable

_REFUSALS_TO_LOSE = 2  # one alone can be a server that is just starting, or a cluster that elects a leader

_log = logging.getLogger(__name__)


class LeaseLost(RetryableError):
    """The server no longer knows of our ticket; somebody else may be doing the same shard."""

    reason: ClassVar[str] = "LEASE_LOST"


class Lease:
    """One delivery of one ticket. `fence` names its writer: no two deliveries share one."""

    def __init__(
        self, bus: Bus, message: Msg, *, ack_wait_s: float, tries: int, gives_up: Callable[[Exception], bool]
    ) -> None:
        self.fence = str(ULID())
        self.delivery = tries + 1  # 1 for the first
        self.gives_up = gives_up  # whether the ticket would be given up for good if its work ended with this error now
        self.lost = False
        self._bus = bus
        self._reply = message.reply
        self._renew_every_s = ack_wait_s / 3
        self._stopping = False  # set by the event loop, read by any thread

    def stopping(self) -> bool:
        """Whether the work should stop at its next good place: the process ends, the run was cancelled, we lost it.

        May be called from any thread; hand it to `run_shard(..., stopping=lease.stopping)`.
        """
        return self._stopping

    def ask_to_stop(self) -> None:
        """From now on `stopping()` is True."""
        self._stopping = True

    async def keep_alive[**P, T](self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `fn(*args)` returns or raises, run in a thread of its own so that the event loop stays free.

        The worker renews the lease all the while. If the server says that the ticket is gone, `stopping()` turns True;
        work that ends early for it (any error) ends here as LeaseLost. Work that finishes all the same is returned: the
        commit decides whose result counts. A thread cannot be killed: if this call is cancelled, `stopping()` turns
        True and the thread is left to end by itself or with the process.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)  # pyright: ignore[reportArgumentType] - None only if T allows it
            else:
                done.set_exception(error)

        def work() -> None:
            try:
                result, error = context.run(fn, *args, **kwargs), None
            except BaseException as raised:  # noqa: BLE001 - handed on to who awaits
                result, error = None, raised
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, error)

        threading.Thread(target=work, name=f"work-{self.fence}", daemon=True).start()
        try:
            return await done
        except asyncio.CancelledError:
            self.ask_to_stop()
            raise
        except Exception as error:
            if self.lost:
                raise LeaseLost("the ticket is gone from the queue: it will be issued again if it is wanted") from error
            raise

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Renews the lease until the block ends."""
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _renew(self) -> None:
        refusals = 0
        while True:
            await asyncio.sleep(self._renew_every_s)
            try:
                await self._bus.answer(self._reply, Msg.Ack.Progress, timeout_s=max(self._renew_every_s, 1.0))
                refusals = 0
            except nats.errors.NoRespondersError:
                refusals += 1
                if refusals >= _REFUSALS_TO_LOSE:
                    self.lost = True
                    self.ask_to_stop()
                    _log.warning("the server knows nothing of our ticket any more; asked the work to stop")
                    return
            except BusUnavailable:
                # Nobody was told to take the ticket over by us; the work goes on and the commit decides.
                _log.warning("could not renew the lease; working on")
