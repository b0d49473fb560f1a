"""Many requests in the background: an operation in the store, a ticket for each request, an item for each outcome."""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

from google.longrunning.operations_pb2 import Operation
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import CANCELLED

from suti.api.generation.v1 import generation_pb2 as pb
from suti.api.types.v1 import types_pb2 as types
from suti.core import keys
from suti.core.errors import InvalidArgument, SutiError
from suti.core.ids import new_run_id
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.errors import status_of
from suti.infra.rpc.operations import PREFIX, OperationMissing
from suti.infra.store import ObjectMissing, Store
from suti_generation.answers import INLINE_BYTES

STAGE = "generation"  # of the tickets
MAX_REQUESTS = 1_000

_REQUEST, _CANCELLED, _DONE, _ITEMS = "request.bin", "cancelled", "done", "items/"

_log = logging.getLogger(__name__)


class BatchSize(InvalidArgument):
    """A batch holds nothing, or too much."""

    reason: ClassVar[str] = "BATCH_SIZE"


class Batches:
    """Batches as the store has them. A batch is done when it has an item for each request."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._requests = RequestLedger(store, "batches")

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
            await self._issue(operation_id)
        return await self.get(f"{PREFIX}{operation_id}")

    def _accept(self, request: pb.GenerateBatchRequest) -> str:
        operation_id = new_run_id()
        self._store.put(keys.operation_part(operation_id, _REQUEST), request.SerializeToString())
        standing = self._requests.record(request.request_id, body_sha256(request), operation_id.encode()).decode()
        if standing != operation_id:
            self._store.delete(keys.operation_part(operation_id, _REQUEST))
            return standing
        record = {
            "service": "generation",
            "request_id": request.request_id,
            "count": len(request.requests),
            "created_by": request.created_by or "anonymous",
            "created_at": datetime.now(UTC).isoformat(),
        }
        self._store.put(keys.operation(operation_id), json.dumps(record).encode())
        return operation_id

    async def get(self, name: str) -> Operation:
        """The operation as it stands. Raises OperationMissing."""
        return await asyncio.to_thread(self._read, name)

    async def cancel(self, name: str) -> None:
        """Requests that are not yet drawn will not be. Raises OperationMissing."""
        operation_id = name.removeprefix(PREFIX)
        await asyncio.to_thread(self._record, operation_id)
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
        place = keys.operation_part(operation_id, f"{_ITEMS}{index:06d}")
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
        """Issues again whatever of open batches has neither item nor ticket: survives a wiped NATS."""
        while not stop.is_set():
            try:
                for operation_id in await asyncio.to_thread(self._open):
                    await self._issue(operation_id)
            except SutiError as error:
                _log.warning("cannot look after batches just now: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)

    async def _issue(self, operation_id: str) -> None:
        for index in await asyncio.to_thread(self._missing, operation_id):
            await self._bus.issue(ShardTicket(run_id=operation_id, stage=STAGE, shard=index))

    def _open(self) -> list[str]:
        found: list[str] = []
        for operation_id in self._store.folders(keys.OPERATIONS):
            ended = any(self._store.exists(keys.operation_part(operation_id, end)) for end in (_DONE, _CANCELLED))
            if not ended and self._store.exists(keys.operation_part(operation_id, _REQUEST)):
                found.append(operation_id)
        return found

    def _missing(self, operation_id: str) -> list[int]:
        try:
            count = int(self._record(operation_id)["count"])
        except OperationMissing:  # just being accepted
            return []
        there = set(self._items(operation_id))
        missing = [index for index in range(count) if index not in there]
        if not missing:
            self._store.put(keys.operation_part(operation_id, _DONE), b"")
        return missing

    def _items(self, operation_id: str) -> list[int]:
        place = keys.operation_part(operation_id, _ITEMS)
        return [int(info.key.rsplit("/", maxsplit=1)[-1]) for info in self._store.list(place)]

    def _record(self, operation_id: str) -> dict[str, Any]:
        if not operation_id.isalnum():
            raise OperationMissing(operation_id)
        try:
            return json.loads(self._store.get(keys.operation(operation_id)))
        except ObjectMissing:
            raise OperationMissing(operation_id) from None

    def _read(self, name: str) -> Operation:
        operation_id = name.removeprefix(PREFIX)
        record = self._record(operation_id)
        items = self._items(operation_id)
        operation = Operation(name=f"{PREFIX}{operation_id}", done=len(items) == record["count"])
        created = Timestamp()
        created.FromDatetime(datetime.fromisoformat(record["created_at"]))
        operation.metadata.Pack(
            types.OperationProgress(
                doing="drawing",
                done=len(items),
                total=record["count"],
                unit="requests",
                create_time=created,
                request_id=record["request_id"],
            )
        )
        if operation.done:
            operation.response.Pack(self._result(operation_id, items))
        elif self._store.exists(keys.operation_part(operation_id, _CANCELLED)):
            operation.done = True
            operation.error.code = CANCELLED
            operation.error.message = f"cancelled after {len(items)} requests: start a new batch for the others"
        return operation

    def _result(self, operation_id: str, indexes: Sequence[int]) -> pb.GenerateBatchResult:
        """All items in order; pictures beyond the inline limit are named by where they lie."""
        result, inline = pb.GenerateBatchResult(), 0
        for index in sorted(indexes):
            place = keys.operation_part(operation_id, f"{_ITEMS}{index:06d}")
            item = pb.GenerateBatchItem.FromString(self._store.get(place))
            for number, picture in enumerate(item.response.pictures):
                inline += len(picture.png)
                if inline > INLINE_BYTES and picture.png:
                    picture.store_key = keys.drawn(item.request_id, f"{number:02d}.png")
                    self._store.put(picture.store_key, picture.png)
                    picture.png = b""
            result.items.append(item)
        return result
