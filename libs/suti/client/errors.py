"""What a service refused, as Suti's own errors again: the reason that the server gave, and whether a retry helps."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Protocol, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from suti.core.errors import PermanentError, RetryableError, SutiError

_DETAILS = "grpc-status-details-bin"
_HEALING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED}
_BUGS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


class RemoteError(SutiError):
    """A call failed. `reason` is the server's own, from docs/errors.md; without one, the gRPC code."""

    def __init__(
        self, message: str, *, code: grpc.StatusCode, trace_id: str = "", fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.trace_id = trace_id  # 32 hex digits: `suti trace` and the server's log know it; may be empty
        self.fields = dict(fields or {})  # what is wrong with which field of the request


class RemoteTrouble(RemoteError, RetryableError):
    """The same call may succeed later: the service is down, busy, or was too slow."""


class RemoteRefusal(RemoteError, PermanentError):
    """The same call will fail again: something about it must change first."""


class RemoteNotFound(RemoteRefusal):
    """The service does not have what the call names."""


class _Failed(Protocol):
    """What a failed call knows, in grpc and in grpc.aio."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def error_from_rpc(error: grpc.RpcError, *, called: str) -> RemoteError:
    """The error that the server raised, as far as the status tells. `called` names service, address and method."""
    failed = cast("_Failed", error)
    packed = dict(failed.trailing_metadata() or ()).get(_DETAILS)
    status = status_pb2.Status()
    if isinstance(packed, bytes):
        with suppress(DecodeError):  # details of somebody else's making: code and message must do
            status.ParseFromString(packed)
    return _error(failed.code(), failed.details() or "", status, called=called)


def error_from_status(status: status_pb2.Status, *, called: str) -> RemoteError:
    """The error that ended an operation."""
    code = next((code for code in grpc.StatusCode if code.value[0] == status.code), grpc.StatusCode.UNKNOWN)
    return _error(code, status.message, status, called=called)


def broken_off(method: str) -> RemoteTrouble:
    """A stream ended without an error and without its last answer: the server went away politely."""
    message = f"{method}: the stream ended early; call again"
    return _class_of(RemoteTrouble, "STREAM_BROKEN_OFF")(message, code=grpc.StatusCode.UNAVAILABLE)


def _error(code: grpc.StatusCode, message: str, status: status_pb2.Status, *, called: str) -> RemoteError:
    info, retry, wrong = ErrorInfo(), RetryInfo(), BadRequest()
    told, heals = False, False
    for detail in status.details:
        told |= detail.Unpack(info)
        heals |= detail.Unpack(retry)
        detail.Unpack(wrong)
    if not told:
        family, reason = _family(code, retry=code in _HEALING), _reason(code)
        return _class_of(family, reason)(f"{called}: {message or code.name}{_remedy(code)}", code=code)
    return _class_of(_family(code, retry=heals or code is grpc.StatusCode.UNAVAILABLE), info.reason)(
        message,
        code=code,
        trace_id=info.metadata.get("trace_id", ""),
        fields={violation.field: violation.description for violation in wrong.field_violations},
    )


def _family(code: grpc.StatusCode, *, retry: bool) -> type[RemoteError]:
    if retry:
        return RemoteTrouble
    if code is grpc.StatusCode.NOT_FOUND:
        return RemoteNotFound
    return RemoteError if code in _BUGS else RemoteRefusal


def _reason(code: grpc.StatusCode) -> str:
    return "SERVICE_UNREACHABLE" if code is grpc.StatusCode.UNAVAILABLE else code.name


def _remedy(code: grpc.StatusCode) -> str:
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            return "; check that the service runs and that the address is right"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "; the deadline passed: try again, or allow more time with `within()`"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "; the server does not know this call: is it an older version, or another service?"
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return "; check the token in Options(token=...)"
        case _:
            return ""


@lru_cache(maxsize=512)
def _class_of[Family: RemoteError](family: type[Family], reason: str) -> type[Family]:
    # `reason` belongs to the class, so each reason that servers know has one here.
    return cast("type[Family]", type(family.__name__, (family,), {"reason": reason, "__doc__": family.__doc__}))
