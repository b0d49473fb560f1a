"""The bus as a service wants it at its start: connected, with its work queue. Both may come later than the service."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from suti.core.errors import RetryableError
from suti.infra.bus.connection import Bus

_PAUSE_S = 1.0
_TRY_S = 5.0

_log = logging.getLogger(__name__)


async def bus_once_there(connect: Callable[[float], Awaitable[Bus]], *, patience_s: float) -> Bus:
    """The bus that `connect` gives (told within how many seconds), once it answers and its work queue is there.

    The log says once what it waits for, and for how long it will.

    Raises:
        BusUnavailable: not within `patience_s`.
        BusRefused: the server knows us not; waiting would not help.
    """
    give_up = time.monotonic() + patience_s
    async with AsyncExitStack() as stack:
        try_once = lambda: connect(max(_PAUSE_S, min(_TRY_S, give_up - time.monotonic())))  # noqa: E731
        bus = await _patiently(try_once, "NATS", give_up)
        await stack.enter_async_context(bus)
        await _patiently(bus.ensure_streams, "the work queue on NATS (whoever may makes it)", give_up)
        stack.pop_all()
        return bus


async def _patiently[T](step: Callable[[], Awaitable[T]], what: str, give_up: float) -> T:
    """What the step gives, once it does. What passes by itself is tried again until `give_up`."""
    waited = False
    while True:
        try:
            found = await step()
        except RetryableError as error:
            left_s = give_up - time.monotonic()
            if left_s <= 0:
                raise
            if not waited:
                _log.warning("waiting for %s, %.0f s at most: %s", what, left_s, error)
            waited = True
            await asyncio.sleep(min(_PAUSE_S, left_s))
        else:
            if waited:
                _log.info("%s is there", what)
            return found
