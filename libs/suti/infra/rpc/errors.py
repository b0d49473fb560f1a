"""Errors on the wire: a SutiError becomes a status with `google.rpc` details, and becomes a SutiError again."""

from functools import cache
from typing import Any, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from suti.core.errors import InvalidArgument, PermanentError, RetryableError, SutiError

DOMAIN = "suti"
DETAILS_KEY = "grpc-status-details-bin"

_RETRYABLE_CODES = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"})
_RETRY_S = 1


def status_code(error: SutiError) -> grpc.StatusCode:
    """The gRPC code that the error's class names."""
    return grpc.StatusCode[error.grpc_code]


def status_of(error: SutiError, *, trace_id: str) -> Status:
    """The error as a status: code, message, and the details ErrorInfo (always), RetryInfo, BadRequest (where they fit).

    `trace_id` stands in ErrorInfo's metadata, so that who gets the error can name it to who reads the logs.
    """
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={"trace_id": trace_id} if trace_id else {})
    ]
    if isinstance(error, RetryableError):
        details.append(RetryInfo(retry_delay=Duration(seconds=_RETRY_S)))
    if isinstance(error, InvalidArgument):
        violation = BadRequest.FieldViolation(field=error.field, description=str(error))
        details.append(BadRequest(field_violations=[violation]))
    return _status(status_code(error), str(error), details)


def internal_status(*, trace_id: str) -> Status:
    """What a caller is told of an error nobody foresaw: where to look it up, and nothing of what it says."""
    message = f"internal error; look for trace {trace_id} in the service's log" if trace_id else "internal error"
    info = ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"trace_id": trace_id} if trace_id else {})
    return _status(grpc.StatusCode.INTERNAL, message, [info])


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> Status:
    packed: list[AnyMessage] = []
    for detail in details:
        box = AnyMessage()
        box.Pack(detail)
        packed.append(box)
    return Status(code=cast("tuple[int, str]", code.value)[0], message=message, details=packed)


def error_from_rpc(error: grpc.RpcError) -> SutiError:
    """The SutiError that the other side raised, with its reason; for what is no SutiError, the nearest to its code.

    It is a RetryableError if the other side said so (RetryInfo), or if gRPC itself failed in a way that may pass.
    """
    call: Any = error  # RpcError has no methods of its own; what is raised is also a Call
    code: grpc.StatusCode = call.code()
    message = str(call.details() or code.name)
    info, retry = ErrorInfo(), False
    for detail in _details(call):
        detail.Unpack(info)  # does nothing if it is another message
        retry = retry or detail.Unpack(RetryInfo())
    if info.reason:
        return _remote_error(info.reason, code.name, retryable=retry)(message)
    kind = _remote_error(code.name, code.name, retryable=code.name in _RETRYABLE_CODES)
    return kind(f"{message}: check that the service runs and may be reached, then look in its log")


def _details(call: Any) -> list[AnyMessage]:
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return list(Status.FromString(value).details)
            except DecodeError:
                return []
    return []


@cache
def _remote_error(reason: str, grpc_code: str, *, retryable: bool) -> type[SutiError]:
    base = RetryableError if retryable else PermanentError
    return type(base)(f"Remote{base.__name__}", (base,), {"reason": reason, "grpc_code": grpc_code})
