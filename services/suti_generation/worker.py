"""Takes tickets: of batches, one request each, and of evaluations, one shard each."""

from suti.api.generation.v1 import generation_pb2 as pb
from suti.core.errors import PermanentError
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.store import ObjectMissing
from suti_generation.batches import Batches
from suti_generation.evaluations import EvaluationWorker
from suti_generation.servicer import Artist


class BatchWorker:
    """Draws one request of a batch. Safe to run twice: the item, once there, stands. Evaluations go elsewhere."""

    def __init__(self, batches: Batches, artist: Artist, evaluations: EvaluationWorker, *, deadline_s: float) -> None:
        self._evaluations = evaluations
        self._batches = batches
        self._artist = artist
        self._deadline_s = deadline_s

    async def handle(self, ticket: ShardTicket, lease: Lease) -> None:
        """Return = done. A batch that was deleted is done too."""
        if await self._evaluations.is_ours(ticket.run_id):
            await self._evaluations.work(ticket.run_id, ticket.shard, lease)
            return

        async def draw(request: pb.GenerateRequest) -> pb.GenerateResponse:
            return await self._artist.draw(request, deadline_s=self._deadline_s, tell=lambda told: None)

        try:
            await self._batches.work(ticket.run_id, ticket.shard, draw, gives_up=lease.gives_up)
        except ObjectMissing:
            return
        except IndexError as error:
            raise TicketBeyondBatch(f"request {ticket.shard} of batch {ticket.run_id}: drop the letter") from error


class TicketBeyondBatch(PermanentError):
    """A ticket names a request that its batch does not have."""

    reason = "TICKET_BEYOND_BATCH"
