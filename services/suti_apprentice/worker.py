"""Does the one apprentice shard of each run by a job; somebody may let it rest and have it go on later."""

import asyncio

from suti.core import keys
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.store import Store
from suti.stages.launched_work import LaunchedWork
from suti.stages.progress import Preempted


class TrainingWork:
    """Handles apprentices' tickets. A training that rests is done with until its mark is taken away."""

    def __init__(self, store: Store, launched: LaunchedWork) -> None:
        self._store = store
        self._launched = launched

    async def handle(self, ticket: ShardTicket, lease: Lease) -> None:
        """Return = done, resting, or not wanted any more. Raises as LaunchedWork does."""
        if await self._rests(ticket):
            return
        try:
            await self._launched.handle(ticket, lease)
        except Preempted:
            if not await self._rests(ticket):
                raise

    async def _rests(self, ticket: ShardTicket) -> bool:
        key = keys.stopped_shard(ticket.run_id, ticket.stage, ticket.shard)
        return await asyncio.to_thread(self._store.exists, key)
