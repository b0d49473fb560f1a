"""Blocking work of calls, one piece at a time, also when who asked has gone."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from suti.core.errors import RetryableError


class Overloaded(RetryableError):
    """The queue is full."""

    reason: ClassVar[str] = "OVERLOADED"
    grpc_code = "RESOURCE_EXHAUSTED"


class OneThread:
    """A thread of its own and a short queue before it. For the event loop that awaits `run`."""

    def __init__(self, name: str, *, max_waiting: int) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._max_waiting = max_waiting
        self._accepted = 0  # waiting or in work

    async def run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The work's result. Cancelled while it waits, it is never begun; in work, it ends before the next begins.

        Raises:
            Overloaded: too much waits already.
        """
        if self._accepted > self._max_waiting:
            raise Overloaded(f"{self._accepted - 1} calls wait already: try again later, or run more replicas")
        self._accepted += 1
        loop = asyncio.get_running_loop()
        future = self._thread.submit(work, *args, **kwargs)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wrap_future(future)
        finally:
            future.cancel()

    def _done(self) -> None:
        self._accepted -= 1
