"""What stands around every call from a channel of ours: a deadline, a token, a span, and the trace in the metadata."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.trace import Span

from suti.infra.telemetry import metrics
from suti.infra.telemetry.context import outgoing_headers
from suti.infra.telemetry.rpc import call_ended, calling_span


class _SyncDetails(NamedTuple):
    method: Any
    timeout: Any
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class _Calls:
    """What both kinds of channel share."""

    def __init__(self, *, target: str, token: str | None, default_deadline_s: float) -> None:
        self._target = target
        self._token = token
        self._default_deadline_s = default_deadline_s
        self._ending: set[asyncio.Task[None]] = set()

    def _begin(self, details: Any, *, streams: bool) -> tuple["_Call", dict[str, Any]]:
        """A span for the call, and what to change in its details."""
        method = details.method.decode() if isinstance(details.method, bytes) else str(details.method)
        call = _Call(method.lstrip("/"), target=self._target)
        metadata: list[tuple[str, str | bytes]] = [*(details.metadata or ())]
        with trace.use_span(call.span):
            metadata.extend(outgoing_headers().items())
        if self._token:
            metadata.append(("authorization", f"Bearer {self._token}"))
        timeout_s = details.timeout
        if timeout_s is None and not streams:  # a stream may be watched for days
            timeout_s = self._default_deadline_s
        return call, {"metadata": metadata, "timeout": timeout_s}


class _Call:
    def __init__(self, method: str, *, target: str) -> None:
        self._method = method
        self._began = time.monotonic()
        self.span: Span = calling_span(method, target=target)

    def end(self, code: grpc.StatusCode) -> None:
        metrics.record_client_call(method=self._method, code=code.name, seconds=time.monotonic() - self._began)
        call_ended(self.span, code.name)
        self.span.end()


class AsyncCalls(_Calls):
    """The interceptors of a grpc.aio channel; grpc wants one object for each shape of call."""

    @classmethod
    def all(cls, *, target: str, token: str | None, default_deadline_s: float) -> list[grpc.aio.ClientInterceptor]:
        """One for each shape."""
        kinds: list[Any] = [_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream]
        return [kind(target=target, token=token, default_deadline_s=default_deadline_s) for kind in kinds]

    async def _intercept(self, continuation: Any, details: Any, request: Any, *, streams: bool) -> Any:
        call, changes = self._begin(details, streams=streams)
        changes["metadata"] = grpc.aio.Metadata(*changes["metadata"])
        answer: Any = await continuation(details._replace(**changes), request)

        async def end() -> None:
            call.end(await answer.code())

        def on_done(_: Any) -> None:
            task = asyncio.ensure_future(end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

        answer.add_done_callback(on_done)
        return answer


class _UnaryUnary(AsyncCalls, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._intercept(continuation, client_call_details, request, streams=False)


class _UnaryStream(AsyncCalls, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._intercept(continuation, client_call_details, request, streams=True)


class _StreamUnary(AsyncCalls, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._intercept(continuation, client_call_details, request_iterator, streams=False)


class _StreamStream(AsyncCalls, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._intercept(continuation, client_call_details, request_iterator, streams=True)


class SyncCalls(
    _Calls,
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """The interceptor of a channel without asyncio."""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Called by grpc."""
        return self._intercept(continuation, client_call_details, request, streams=False)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Called by grpc."""
        return self._intercept(continuation, client_call_details, request, streams=True)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Called by grpc."""
        return self._intercept(continuation, client_call_details, request_iterator, streams=False)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Called by grpc."""
        return self._intercept(continuation, client_call_details, request_iterator, streams=True)

    def _intercept(self, continuation: Callable[[Any, Any], Any], details: Any, request: Any, *, streams: bool) -> Any:
        call, changes = self._begin(details, streams=streams)
        given = {name: getattr(details, name, None) for name in _SyncDetails._fields}
        answer = continuation(_SyncDetails(**{**given, **changes}), request)

        def on_done(done: Any) -> None:
            call.end(done.code())

        answer.add_done_callback(on_done)
        return answer
