"""What a service wants at its start: a bus that answers, with its work queue, and a store that lets it in.

All may come later than the service, and somebody else may have to make queue, bucket and users first.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from suti.core import keys
from suti.core.errors import RetryableError, SutiError
from suti.infra.bus.connection import Bus
from suti.infra.store import BucketMissing, Store, StoreRefused

_PAUSE_S = 1.0
_TRY_S = 5.0
_PASSING = (RetryableError, StoreRefused, BucketMissing)  # while bucket and users are being made

_log = logging.getLogger(__name__)


async def bus_and_store_there(connect: Callable[[float], Awaitable[Bus]], store: Store, *, patience_s: float) -> Bus:
    """The bus that `connect` gives (told within how many seconds), once it, its queue and the store are there.

    The log says once of each what is waited for, why, and for how long.

    Raises:
        BusUnavailable, StoreUnavailable, StoreRefused, BucketMissing: still so after `patience_s`.
        BusRefused: the server knows us not; waiting would not help.
    """
    give_up = time.monotonic() + patience_s

    def try_once() -> Awaitable[Bus]:
        return connect(max(_PAUSE_S, min(_TRY_S, give_up - time.monotonic())))

    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(await _patiently(try_once, "NATS", give_up))
        await _patiently(bus.ensure_streams, "the work queue on NATS, which somebody else may have to make", give_up)
        look = lambda: asyncio.to_thread(store.folders, keys.RUNS)  # noqa: E731 - every service may do this
        await _patiently(look, f"the store {store.url}", give_up, _PASSING)
        stack.pop_all()
        return bus


async def _patiently[T](
    step: Callable[[], Awaitable[T]],
    what: str,
    give_up: float,
    passing: tuple[type[SutiError], ...] = (RetryableError,),
) -> T:
    """What the step gives, once it does. What may pass is tried again until `give_up`."""
    waited = False
    while True:
        try:
            found = await step()
        except passing as error:
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
