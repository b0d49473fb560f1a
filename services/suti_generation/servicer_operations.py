"""`google.longrunning.Operations` for this service's own operations: batches."""

import asyncio
from typing import Any

import grpc.aio
from google.longrunning import operations_pb2 as pb
from google.longrunning import operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty

from suti_generation.batches import Batches

_LONGEST_WAIT_S = 30.0
_LOOK_S = 0.25

type Context = grpc.aio.ServicerContext[Any, Any]


class OperationsServicer(operations_pb2_grpc.OperationsServicer):
    """Asks after batches, waits for them, cancels them."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.Operation:
        """The operation as it stands."""
        return await self._batches.get(request.name)

    async def WaitOperation(self, request: pb.WaitOperationRequest, context: Context) -> pb.Operation:
        """The operation when it is done, or as it stands when the wait is over."""
        loop = asyncio.get_running_loop()
        asked_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else _LONGEST_WAIT_S
        end = loop.time() + min(asked_s, _LONGEST_WAIT_S)
        while True:
            operation = await self._batches.get(request.name)
            if operation.done or loop.time() >= end:
                return operation
            await asyncio.sleep(_LOOK_S)

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: Context) -> Empty:
        """What is not yet drawn will not be."""
        await self._batches.cancel(request.name)
        return Empty()
