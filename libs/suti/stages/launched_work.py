"""Shards that are done by jobs: what a launcher does with a ticket. No torch here."""

from functools import lru_cache

from suti.infra.bus.connection import Bus
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.shard_work import guarded
from suti.stages.waves import Waves

_KEPT_SPECS = 16


class LaunchedWork:
    """Handles one stage's tickets by jobs, many tickets to a job. Safe to run twice."""

    def __init__(self, bus: Bus, store: Store, waves: Waves) -> None:
        self._bus = bus
        self._store = store
        self._waves = waves
        self._load = lru_cache(_KEPT_SPECS)(load_run_spec)  # runs do not change, and thousands of tickets are of few

    async def handle(self, ticket: ShardTicket, lease: Lease) -> None:
        """Return = done, or not wanted any more.

        Raises:
            Preempted: this process ends; the job goes on or starts again with the next launcher.
            JobFailed, JobMisconfigured, JobUnable, JobBroke: as the shard's index ended.
        """

        async def work(spec: RunSpec, ledger: Ledger) -> Commit:
            return await self._waves.done(ticket, lease)

        await guarded(ticket, lease, bus=self._bus, store=self._store, work=work, waits=True, load=self._load)
