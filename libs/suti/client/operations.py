"""What an operation says: still going, its result, or the error that ended it. Shared by both flavours of client."""

from google.longrunning.operations_pb2 import CancelOperationRequest, GetOperationRequest, Operation
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from suti.api.types.v1.types_pb2 import OperationProgress
from suti.client.calls import Unary
from suti.client.endpoints import Service
from suti.client.errors import error_from_status
from suti.core.errors import RetryableError


class OperationUnfinished(RetryableError):
    """Nobody waited long enough; the work goes on, and may be asked after again."""

    reason = "OPERATION_UNFINISHED"


class OperationCall[Answer: Message](Unary[Answer]):
    """A call to the `google.longrunning.Operations` that each service serves for its own operations."""

    @property
    def path(self) -> str:
        """The method's path on the wire."""
        return f"/google.longrunning.Operations/{self.method}"


def get_operation(service: Service, name: str) -> OperationCall[Operation]:
    """Ask after an operation."""
    return OperationCall(
        service=service, method="GetOperation", request=GetOperationRequest(name=name), answer=Operation
    )


def cancel_operation(service: Service, name: str) -> OperationCall[Empty]:
    """Ask an operation to stop."""
    return OperationCall(
        service=service, method="CancelOperation", request=CancelOperationRequest(name=name), answer=Empty
    )


def result_of[Result: Message](operation: Operation, result: type[Result]) -> Result | None:
    """The result, or None while the work goes on.

    Raises:
        RemoteError: the work failed or was cancelled.
    """
    if not operation.done:
        return None
    if operation.HasField("error"):
        raise error_from_status(operation.error, called=f"operation {operation.name}")
    answer = result()
    operation.response.Unpack(answer)
    return answer


def progress_of(operation: Operation) -> OperationProgress:
    """How far the work is."""
    progress = OperationProgress()
    operation.metadata.Unpack(progress)
    return progress


def unfinished(name: str, timeout_s: float) -> OperationUnfinished:
    """Says that somebody's patience ended before the work did."""
    return OperationUnfinished(f"operation {name} is not done after {timeout_s:g} s: wait longer, or ask again later")
