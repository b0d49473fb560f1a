"""`google.longrunning.Operations`, as every service serves it for the operations of its own."""

import asyncio
from typing import Any, Protocol

import grpc.aio
from google.longrunning import operations_pb2 as pb
from google.longrunning import operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty

from suti.core.errors import NotFound

PREFIX = "operations/"

_LONGEST_WAIT_S = 30.0
_LOOK_S = 0.25

type Context = grpc.aio.ServicerContext[Any, Any]


class OperationMissing(NotFound):
    """No operation of that name was started here."""

    reason = "NO_OPERATION"

    def __init__(self, name: str) -> None:
        super().__init__("operation", name[:80], remedy="give the name that the call which started it answered with")


class Operations(Protocol):
    """A service's operations, by name (`operations/...`)."""

    async def get(self, name: str) -> pb.Operation:
        """The operation as it stands. Raises OperationMissing."""
        ...

    async def cancel(self, name: str) -> None:
        """It ends soon, unless it has ended. Raises OperationMissing."""
        ...


class OperationsServicer(operations_pb2_grpc.OperationsServicer):
    """Asks after operations, waits for them, cancels them."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:  # noqa: N802
        """The operation as it stands."""
        return await self._operations.get(request.name)

    async def WaitOperation(self, request: pb.WaitOperationRequest, context: Context) -> pb.Operation:  # noqa: N802
        """The operation when it is done, or as it stands when the wait is over."""
        loop = asyncio.get_running_loop()
        asked_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _LONGEST_WAIT_S
        end = loop.time() + min(asked_s, _LONGEST_WAIT_S)
        while True:
            operation = await self._operations.get(request.name)
            if operation.done or loop.time() >= end:
                return operation
            await asyncio.sleep(_LOOK_S)

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: Context) -> Empty:  # noqa: N802
        """The work is asked to stop."""
        await self._operations.cancel(request.name)
        return Empty()
