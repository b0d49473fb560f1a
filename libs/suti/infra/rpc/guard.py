"""What stands around every call to a server: token, deadline, span, metrics, and errors turned into statuses."""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar, cast

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status
from opentelemetry.trace import Span, StatusCode

from suti.core.errors import PermanentError, RetryableError, SutiError
from suti.infra.rpc.errors import DETAILS_KEY, internal_status, status_of
from suti.infra.rpc.security import ServerSecurity
from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import current_trace_id
from suti.infra.telemetry.rpc import answering_call, call_ended

# Asked by probes that cannot send a token, every few seconds: no token, no span, no log line.
_HEALTH = "/grpc.health.v1.Health/"
_CODES = {cast("tuple[int, str]", code.value)[0]: code for code in grpc.StatusCode}

_log = logging.getLogger(__name__)


class DeadlineExceeded(RetryableError):
    """A call came without a deadline of its own and took longer than the server allows."""

    reason: ClassVar[str] = "DEADLINE_EXCEEDED"
    grpc_code = "DEADLINE_EXCEEDED"


class CallGuard(grpc.aio.ServerInterceptor):
    """Wraps every method of a server. Handlers raise; nobody but this class speaks gRPC's statuses."""

    def __init__(self, security: ServerSecurity, *, default_deadline_s: float) -> None:
        self._security = security
        self._default_deadline_s = default_deadline_s

    async def intercept_service(  # pyright: ignore[reportIncompatibleMethodOverride] - the stubs' generics, not ours
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The method's handler with the guard around it."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(_HEALTH):
            return handler
        inner, make = _inner(handler)
        metadata = {str(key): value for key, value in handler_call_details.invocation_metadata or ()}

        async def guarded(request: Any, context: Any) -> Any:
            return await self._call(
                inner,
                request,
                context,
                method=method.lstrip("/"),
                metadata=metadata,
                streams=handler.response_streaming,
            )

        return make(
            guarded, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )

    async def _call(
        self,
        inner: Callable[[Any, Any], Any],
        request: Any,
        context: Any,
        *,
        method: str,
        metadata: dict[str, str | bytes],
        streams: bool,
    ) -> Any:
        began = time.monotonic()
        code = "OK"
        try:
            with answering_call(method, metadata) as span:
                try:
                    self._security.check_token(metadata)
                    # A stream may be watched for days; a single answer must come in time.
                    limit_s = None if streams or context.time_remaining() is not None else self._default_deadline_s
                    answer = await _within(limit_s, _answer(inner, request, context))
                    code = _set_code(context)  # a handler may set one without raising
                except asyncio.CancelledError:
                    code = "CANCELLED"
                    raise
                except grpc.aio.AbortError:
                    code = _set_code(context)
                    raise
                except Exception as error:
                    status = _status(error, method=method, span=span)
                    code = _CODES[status.code].name
                    await context.abort(
                        _CODES[status.code], status.message, ((DETAILS_KEY, status.SerializeToString()),)
                    )
                    raise AssertionError("abort raises") from error
                else:
                    return answer
                finally:
                    call_ended(span, code)
        finally:
            metrics.record_server_call(method=method, code=code, seconds=time.monotonic() - began)


def _set_code(context: Any) -> str:
    code: int | grpc.StatusCode | None = context.code()  # a number, once set
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _CODES[code or 0].name


async def _answer(inner: Callable[[Any, Any], Any], request: Any, context: Any) -> Any:
    result = inner(request, context)
    if inspect.isasyncgen(result):
        # Written from here, so that the whole stream runs in one task and context.
        async for message in cast("AsyncIterator[Any]", result):
            await context.write(message)
        return None
    return await result if inspect.isawaitable(result) else result


async def _within(limit_s: float | None, work: Awaitable[Any]) -> Any:
    timeout = asyncio.timeout(limit_s)
    try:
        async with timeout:
            return await work
    except TimeoutError:
        if timeout.expired():
            raise DeadlineExceeded(f"no answer within {limit_s:g} s: set a longer deadline for this call") from None
        raise


def _status(error: Exception, *, method: str, span: Span) -> Status:
    trace_id = current_trace_id()
    if isinstance(error, SutiError):
        level = logging.INFO if isinstance(error, PermanentError) else logging.WARNING
        _log.log(level, "%s: %s: %s", method, error.reason, error)
        span.set_attribute("error.type", error.reason)
        return status_of(error, trace_id=trace_id)
    _log.error("%s failed", method, exc_info=error)
    span.record_exception(error)
    span.set_status(StatusCode.ERROR, type(error).__name__)
    return internal_status(trace_id=trace_id)


def _inner(handler: Any) -> tuple[Callable[[Any, Any], Any], Callable[..., Any]]:
    if handler.request_streaming and handler.response_streaming:
        return handler.stream_stream, grpc.stream_stream_rpc_method_handler
    if handler.request_streaming:
        return handler.stream_unary, grpc.stream_unary_rpc_method_handler
    if handler.response_streaming:
        return handler.unary_stream, grpc.unary_stream_rpc_method_handler
    return handler.unary_unary, grpc.unary_unary_rpc_method_handler
