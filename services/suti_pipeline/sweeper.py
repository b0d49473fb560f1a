"""Takes away, once a day, what nobody will ask for: what dead workers left, old answers, operations and drawings."""

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from suti.core import keys
from suti.core.errors import SutiError
from suti.infra.operations import sweep_operations
from suti.infra.requests import RequestLedger
from suti.infra.store import Store
from suti.infra.sweep import sweep_drawn, sweep_run

_log = logging.getLogger(__name__)


class Sweeper:
    """Sweeps one store. Several replicas do no harm: what one deleted, the others do not find."""

    def __init__(self, store: Store, *, every: timedelta, parts_after: timedelta, drawn_after: timedelta) -> None:
        self._store = store
        self._every = every
        self._parts_after = parts_after
        self._drawn_after = drawn_after

    async def run(self, stop: asyncio.Event) -> None:
        """Sweeps at once and then regularly, until `stop` is set. What fails is tried again the next time."""
        while not stop.is_set():
            await asyncio.to_thread(self.sweep, now=datetime.now(UTC))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every.total_seconds())

    def sweep(self, *, now: datetime) -> int:
        """Deletes what is too old, and says how many objects. One run's trouble is not the others'."""
        swept = 0
        for run_id in self._names(keys.RUNS):
            with _told(f"run {run_id}"):
                swept += len(sweep_run(self._store, run_id, now=now, older_than=self._parts_after))
        for service in self._names(keys.REQUESTS):
            with _told(f"answers of {service}"):
                swept += RequestLedger(self._store, service).sweep(now=now)
        with _told("operations"):
            swept += sweep_operations(self._store, now=now)
        with _told("drawings"):
            swept += sweep_drawn(self._store, now=now, older_than=self._drawn_after)
        if swept:
            _log.info("swept %d objects that nobody will ask for", swept)
        return swept

    def _names(self, folder: str) -> tuple[str, ...]:
        try:
            return self._store.folders(folder)
        except (SutiError, OSError) as error:
            _log.warning("%s: not swept this time (%s)", folder, error)
            return ()


@contextmanager
def _told(what: str) -> Generator[None]:
    """What the store refuses is told and let be."""
    try:
        yield
    except (SutiError, OSError) as error:
        _log.warning("%s: not swept this time (%s)", what, error)
