"""Evaluations that callers ask for: an operation in the store, a ticket to the generation service for each shard.

An evaluation is done when it has a result; who writes the last shard's item lets the next look issue one ticket more,
which sums up. No torch here: models are looked at where they draw.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from google.longrunning.operations_pb2 import Operation
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import CANCELLED, INTERNAL

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import OperationProgress
from suti.core import keys
from suti.core.errors import PermanentError, SutiError
from suti.core.ids import new_run_id
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.operations import OperationRecords
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.operations import PREFIX
from suti.infra.store import Store
from suti.stages.evaluation import orders
from suti_pipeline.evaluation_orders import order_from_proto

STAGE: Final = "generation"  # whose workers take the tickets

_ID = keys.PIPELINE_OPERATIONS.removeprefix(keys.OPERATIONS)  # its operations' ids begin so

_log = logging.getLogger(__name__)


class Evaluations:
    """Starts evaluations and tells of them; see `suti.infra.rpc.operations.Operations`."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._requests = RequestLedger(store, "pipeline")
        self._records = OperationRecords(store, "pipeline", ids=_ID)
        self._letters = DeadLetters(store)

    async def start(self, request: pb.EvaluateModelRequest) -> Operation:
        """The operation of this request; the same request id yields the same one.

        Raises:
            InvalidArgument, UnknownProtocol: each names what is wrong.
        """
        operation_id = await asyncio.to_thread(self._accept, request)
        with suppress(SutiError):  # accepted all the same: `keep_going` issues what is missing
            await self._go_on(operation_id, ())
        return await self.get(f"{PREFIX}{operation_id}")

    async def get(self, name: str) -> Operation:
        """The operation as it stands. Raises OperationMissing."""
        return await asyncio.to_thread(self._read, name)

    async def cancel(self, name: str) -> None:
        """Shards that are not begun will not be. Raises OperationMissing."""
        operation_id, _ = await asyncio.to_thread(self._records.get, name)
        await asyncio.to_thread(self._store.put, keys.operation_part(operation_id, orders.CANCELLED), b"")
        await self._bus.withdraw(operation_id)

    async def keep_going(self, stop: asyncio.Event, *, every_s: float = 2.0) -> None:
        """Open evaluations come to an end, whoever dies meanwhile: what has neither item nor ticket is issued again."""
        while not stop.is_set():
            try:
                await self._look()
            except SutiError as error:
                _log.warning("cannot look after evaluations just now: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)

    async def _look(self) -> None:
        opened = await asyncio.to_thread(lambda: list(self._records.open()))
        letters = await asyncio.to_thread(self._letters.list, stage=STAGE) if opened else []
        for operation_id, _ in opened:
            try:
                await self._go_on(operation_id, [one for one in letters if one.run_id == operation_id])
            except PermanentError as error:  # one evaluation's trouble is not the others'
                _log.error("evaluation %s: %s", operation_id, error)

    async def _go_on(self, operation_id: str, letters: Iterable[DeadLetter]) -> None:
        if await asyncio.to_thread(self._is_over, operation_id):
            return
        for letter in letters:
            failed = json.dumps([INTERNAL, f"{letter.reason}: {letter.message}"])
            await asyncio.to_thread(
                self._store.create, keys.operation_part(operation_id, orders.FAILED), failed.encode()
            )
            return
        _, record = await asyncio.to_thread(self._records.get, f"{PREFIX}{operation_id}")
        count = int(record["count"])
        missing = await asyncio.to_thread(self._missing, operation_id, count)
        for index in missing or [count]:  # all rows are there: one more ticket sums up
            await self._bus.issue(ShardTicket(run_id=operation_id, stage=STAGE, shard=index))

    def _accept(self, request: pb.EvaluateModelRequest) -> str:
        order = order_from_proto(request, self._promoted)
        # The request id comes first: what was cut short behind it goes on with the next call.
        ours = f"{_ID}{new_run_id()}".encode()
        operation_id = self._requests.record(request.request_id, body_sha256(request), ours).decode()
        if self._store.exists(keys.operation(operation_id)):
            return operation_id
        self._store.create(keys.operation_part(operation_id, orders.ORDER), order.model_dump_json().encode())
        record = {
            "kind": "evaluation",
            "request_id": request.request_id,
            "count": len(order.shards()),
            "created_by": request.created_by or "anonymous",
            "created_at": datetime.now(UTC).isoformat(),
        }
        self._records.accept(operation_id, record)
        return operation_id

    def _promoted(self) -> str:
        return f"runs/{json.loads(self._store.get(keys.PROMOTED_MODEL))['run_id']}"

    def _is_over(self, operation_id: str) -> bool:
        over = any(self._store.exists(keys.operation_part(operation_id, end)) for end in orders.ENDS)
        if over:
            self._records.end(operation_id)
        return over

    def _missing(self, operation_id: str, count: int) -> list[int]:
        place = keys.operation_part(operation_id, orders.ITEMS)
        there = {int(info.key.rsplit("/", maxsplit=1)[-1]) for info in self._store.list(place)}
        return [index for index in range(count) if index not in there]

    def _read(self, name: str) -> Operation:
        operation_id, record = self._records.get(name)
        count = int(record["count"])
        result = self._records.part(operation_id, orders.RESULT)
        operation = Operation(name=name, done=result is not None)
        created = Timestamp()
        created.FromDatetime(datetime.fromisoformat(record["created_at"]))
        operation.metadata.Pack(
            OperationProgress(
                doing="drawing and measuring",
                done=count - len(self._missing(operation_id, count)),
                total=count,
                unit="shards",
                create_time=created,
                request_id=record["request_id"],
            )
        )
        if result is not None:
            operation.response.Pack(pb.EvaluateModelResult.FromString(result))
        elif self._records.part(operation_id, orders.CANCELLED) is not None:
            operation.done = True
            operation.error.code, operation.error.message = CANCELLED, "cancelled: start a new one for the rest"
        elif (failed := self._records.part(operation_id, orders.FAILED)) is not None:
            operation.done = True
            operation.error.code, operation.error.message = json.loads(failed)
        return operation
