"""Many requests in the background: an operation in the store, a ticket for each request, an item for each outcome."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.longrunning.operations_pb2 import Operation
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import CANCELLED

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1 import types_pb2 as types
from suti.core import keys
from suti.core.errors import InvalidArgument, PermanentError, SutiError
from suti.core.ids import new_run_id
from suti.core.limits import OPERATION_INLINE_BYTES
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.operations import OperationRecords
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.errors import status_of
from suti.infra.rpc.operations import PREFIX
from suti.infra.store import Store

STAGE = "generation"  # of the tickets
MAX_REQUESTS = 1_000

_REQUEST, _RESULT, _CANCELLED, _ITEMS = "request.bin", "result.bin", "cancelled", "items/"

_log = logging.getLogger(__name__)


class BatchSize(InvalidArgument):
    """A batch holds nothing, or too much."""

    reason: ClassVar[str] = "BATCH_SIZE"


class RequestGivenUp(PermanentError):
    """Who drew a batch's request failed at it without a word that was meant for callers, as often as they may."""

    reason: ClassVar[str] = "REQUEST_GIVEN_UP"
    grpc_code = "INTERNAL"

    def __init__(self, letter: DeadLetter) -> None:
        super().__init__(
            f"given up after {letter.deliveries} tries ({letter.reason}): `suti dead list` tells operators more of "
            f"{letter.letter_id}; send the request in a new batch once that is mended"
        )


class Batches:
    """Batches as the store has them. A batch is done when it has an item for each request."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._requests = RequestLedger(store, "batches")
        self._records = OperationRecords(store, "generation")
        self._letters = DeadLetters(store)

    async def start(self, request: pb.GenerateBatchRequest) -> Operation:
        """The operation of this request; the same request id yields the same one.

        Raises:
            BatchSize: there are no requests, or too many.
            InvalidArgument: two of them share a request id.
        """
        if not 1 <= len(request.requests) <= MAX_REQUESTS:
            raise BatchSize("requests", f"{len(request.requests)}: send 1 to {MAX_REQUESTS}")
        if len({one.request_id for one in request.requests}) < len(request.requests):
            raise InvalidArgument("requests", "two share a request_id: give each one of its own")
        operation_id = await asyncio.to_thread(self._accept, request)
        with suppress(SutiError):  # accepted all the same: `keep_going` issues what is missing
            await self._go_on(operation_id, len(request.requests), {})
        return await self.get(f"{PREFIX}{operation_id}")

    def _accept(self, request: pb.GenerateBatchRequest) -> str:
        # The request id comes first: what is refused leaves nothing, and what was cut short goes on with the next call.
        ours = new_run_id().encode()
        operation_id = self._requests.record(request.request_id, body_sha256(request), ours).decode()
        if self._store.exists(keys.operation(operation_id)):
            return operation_id
        self._store.put(keys.operation_part(operation_id, _REQUEST), request.SerializeToString())
        record = {
            "request_id": request.request_id,
            "count": len(request.requests),
            "created_by": request.created_by or "anonymous",
            "created_at": datetime.now(UTC).isoformat(),
        }
        self._records.accept(operation_id, record)
        return operation_id

    async def get(self, name: str) -> Operation:
        """The operation as it stands. Raises OperationMissing."""
        return await asyncio.to_thread(self._read, name)

    async def cancel(self, name: str) -> None:
        """Requests that are not yet drawn will not be. Raises OperationMissing."""
        operation_id, _ = await asyncio.to_thread(self._records.get, name)
        await asyncio.to_thread(self._store.put, keys.operation_part(operation_id, _CANCELLED), b"")
        await self._bus.withdraw(operation_id)

    async def work(
        self,
        operation_id: str,
        index: int,
        draw: Callable[[pb.GenerateRequest], Any],
        *,
        gives_up: Callable[[SutiError], bool],
    ) -> None:
        """One request of a batch, drawn and kept as its item; nothing if that was done, or is not wanted any more.

        Raises:
            SutiError: whatever `draw` raised that another try or another worker may heal, unless `gives_up` says no.
        """
        place = _item(operation_id, index)
        if await asyncio.to_thread(self._settled, operation_id, place):
            return
        packed = await asyncio.to_thread(self._store.get, keys.operation_part(operation_id, _REQUEST))
        request = pb.GenerateBatchRequest.FromString(packed).requests[index]
        item = pb.GenerateBatchItem(request_id=request.request_id)
        try:
            item.response.CopyFrom(await draw(request))
        except SutiError as error:
            if not gives_up(error):
                raise
            item.error.CopyFrom(status_of(error, trace_id=""))
        await asyncio.to_thread(self._store.create, place, item.SerializeToString())

    def _settled(self, operation_id: str, place: str) -> bool:
        return self._store.exists(place) or self._store.exists(keys.operation_part(operation_id, _CANCELLED))

    async def keep_going(self, stop: asyncio.Event, *, every_s: float = 5.0) -> None:
        """Open batches come to an end, with a wiped NATS too: what has neither item nor ticket is issued again.

        A request whose ticket was given up has its dead letter as outcome: it is not tried for ever.
        """
        while not stop.is_set():
            try:
                await self._look()
            except SutiError as error:
                _log.warning("cannot look after batches just now: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)

    async def _look(self) -> None:
        opened = await asyncio.to_thread(lambda: list(self._records.open()))
        letters = await asyncio.to_thread(self._letters.list, stage=STAGE) if opened else []
        for operation_id, record in opened:
            given_up = {letter.shard: letter for letter in letters if letter.run_id == operation_id}
            try:
                await self._go_on(operation_id, int(record["count"]), given_up)
            except PermanentError as error:  # one batch's trouble is not the others'
                _log.error("batch %s: %s", operation_id, error)

    async def _go_on(self, operation_id: str, count: int, given_up: Mapping[int, DeadLetter]) -> None:
        if await asyncio.to_thread(self._is_over, operation_id):
            return
        missing = await asyncio.to_thread(self._missing, operation_id, count)
        lost = sorted(missing & given_up.keys())
        if lost:
            await asyncio.to_thread(self._give_up, operation_id, [given_up[index] for index in lost])
        for index in sorted(missing - given_up.keys()):
            await self._bus.issue(ShardTicket(run_id=operation_id, stage=STAGE, shard=index))
        if not missing - given_up.keys():
            await asyncio.to_thread(self._finish, operation_id, count)

    def _is_over(self, operation_id: str) -> bool:
        over = any(self._store.exists(keys.operation_part(operation_id, end)) for end in (_RESULT, _CANCELLED))
        if over:
            self._records.end(operation_id)
        return over

    def _give_up(self, operation_id: str, letters: Iterable[DeadLetter]) -> None:
        packed = self._store.get(keys.operation_part(operation_id, _REQUEST))
        requests = pb.GenerateBatchRequest.FromString(packed).requests
        for letter in letters:
            item = pb.GenerateBatchItem(
                request_id=requests[letter.shard].request_id,
                error=status_of(RequestGivenUp(letter), trace_id=letter.trace_id),
            )
            self._store.create(_item(operation_id, letter.shard), item.SerializeToString())

    def _missing(self, operation_id: str, count: int) -> set[int]:
        place = keys.operation_part(operation_id, _ITEMS)
        there = {int(info.key.rsplit("/", maxsplit=1)[-1]) for info in self._store.list(place)}
        return set(range(count)) - there

    def _finish(self, operation_id: str, count: int) -> bytes:
        """The result of a batch that has all its items, made once."""
        result = self._result(operation_id, range(count)).SerializeToString()
        self._store.create(keys.operation_part(operation_id, _RESULT), result)
        self._records.end(operation_id)
        return result

    def _read(self, name: str) -> Operation:
        operation_id, record = self._records.get(name)
        count = int(record["count"])
        result = self._records.part(operation_id, _RESULT)
        done = count if result is not None else count - len(self._missing(operation_id, count))
        if result is None and done == count:
            result = self._finish(operation_id, count)
        operation = Operation(name=name, done=result is not None)
        created = Timestamp()
        created.FromDatetime(datetime.fromisoformat(record["created_at"]))
        operation.metadata.Pack(
            types.OperationProgress(
                doing="drawing",
                done=done,
                total=count,
                unit="requests",
                create_time=created,
                request_id=record["request_id"],
            )
        )
        if result is not None:
            operation.response.Pack(pb.GenerateBatchResult.FromString(result))
        elif self._store.exists(keys.operation_part(operation_id, _CANCELLED)):
            operation.done = True
            operation.error.code = CANCELLED
            operation.error.message = f"cancelled after {done} requests: start a new batch for the others"
        return operation

    def _result(self, operation_id: str, indexes: Iterable[int]) -> pb.GenerateBatchResult:
        """All items in order; pictures beyond the inline limit are named by where they lie."""
        result, inline = pb.GenerateBatchResult(), 0
        for index in indexes:
            item = pb.GenerateBatchItem.FromString(self._store.get(_item(operation_id, index)))
            for number, picture in enumerate(item.response.pictures):
                inline += len(picture.png)
                if inline > OPERATION_INLINE_BYTES and picture.png:
                    picture.store_key = keys.drawn(item.request_id, f"{number:02d}.png")
                    self._store.put(picture.store_key, picture.png)
                    picture.png = b""
            result.items.append(item)
        return result


def _item(operation_id: str, index: int) -> str:
    return keys.operation_part(operation_id, f"{_ITEMS}{index:06d}")
