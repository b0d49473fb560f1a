"""The client for asyncio. It mirrors `suti.client.blocking`; what is sent and how answers are read is shared."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Self

import grpc
import grpc.aio
from google.longrunning.operations_pb2 import Operation
from google.protobuf.message import Message

from suti.api.types.v1.types_pb2 import OperationProgress
from suti.client.calls import Long, Pages, Rpc, Stream, Unary
from suti.client.channels import open_aio_channel
from suti.client.endpoints import Endpoints, Service
from suti.client.errors import RemoteError, RemoteTrouble, broken_off, error_from_rpc
from suti.client.operations import cancel_operation, get_operation, progress_of, result_of, unfinished
from suti.client.options import Options
from suti.client.patience import Patience, poll_delay_s
from suti.client.requests import apprentice, generation, pipeline, stages


class AsyncConnection:
    """Runs calls on one event loop. One channel per address, opened at its first call."""

    def __init__(self, endpoints: Endpoints | str, *, options: Options | None = None) -> None:
        self._endpoints = Endpoints.single(endpoints) if isinstance(endpoints, str) else endpoints
        self._options = options or Options()
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all channels; calls under way end."""
        while self._channels:
            await self._channels.popitem()[1].close()

    async def call[Answer: Message](self, call: Unary[Answer]) -> Answer:
        """Run one call. Raises RemoteError; cancelled, it hangs up."""
        options = self._options
        method = self._channel(call).unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        timeout_s = options.drawing_timeout_s if call.computes else options.timeout_s
        try:
            return await method(call.request, timeout=timeout_s, metadata=options.call_metadata())
        except grpc.RpcError as error:
            raise self._error(call, error) from error

    async def stream[Answer: Message](self, call: Stream[Answer]) -> AsyncIterator[Answer]:
        """Run a stream to its last answer, and take it up again where the connection breaks. Raises RemoteError."""
        patience = Patience(self._options)
        while True:
            answers = self._stream_once(call)
            try:
                async for answer in answers:
                    patience.renew()
                    yield answer
                    if call.is_last(answer):
                        return
                error = broken_off(call.method)
            except grpc.RpcError as failure:
                error = self._error(call, failure)
            finally:
                answers.cancel()  # also when the reader leaves early
            delay_s = patience.delay_s()
            if delay_s is None or not isinstance(error, RemoteTrouble):
                raise error
            await asyncio.sleep(delay_s)

    async def pages[Answer: Message, Item](self, pages: Pages[Answer, Item]) -> AsyncIterator[Item]:
        """Run a list page by page, as far as it is read. Raises RemoteError."""
        following: Unary[Answer] | None = pages.first
        while following is not None:
            answer = await self.call(following)
            for item in pages.items(answer):
                yield item
            following = pages.after(answer)

    async def start[Result: Message](self, long: Long[Result]) -> "AsyncPending[Result]":
        """Start work that goes on in the background. Raises RemoteError."""
        return AsyncPending(self, long.start.service, await self.call(long.start), long.result)

    async def pending[Result: Message](
        self, service: Service, name: str, result: type[Result]
    ) -> "AsyncPending[Result]":
        """Work that was started earlier, perhaps by somebody else, by its operation's name. Raises RemoteError."""
        return AsyncPending(self, service, await self.call(get_operation(service, name)), result)

    def _stream_once[Answer: Message](self, call: Stream[Answer]) -> grpc.aio.UnaryStreamCall[Message, Answer]:
        method = self._channel(call).unary_stream(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        options = self._options
        return method(call.request, timeout=options.watch_timeout_s, metadata=options.call_metadata())

    def _channel(self, call: Rpc[Any]) -> grpc.aio.Channel:
        address = self._endpoints.of(call.service)
        if address not in self._channels:
            self._channels[address] = open_aio_channel(address, self._options)
        return self._channels[address]

    def _error(self, call: Rpc[Any], error: grpc.RpcError) -> RemoteError:
        return error_from_rpc(error, called=f"{call.service} at {self._endpoints.of(call.service)}, {call.method}")


class AsyncPending[Result: Message]:
    """Work that goes on in the background."""

    def __init__(
        self, connection: AsyncConnection, service: Service, operation: Operation, result: type[Result]
    ) -> None:
        self._connection = connection
        self._service = service
        self._operation = operation
        self._result = result

    @property
    def name(self) -> str:
        """The operation's name, to ask after it later with `pending`."""
        return self._operation.name

    @property
    def progress(self) -> OperationProgress:
        """How far it was when last asked."""
        return progress_of(self._operation)

    async def wait(
        self, *, timeout_s: float = 3600.0, on_progress: Callable[[OperationProgress], None] | None = None
    ) -> Result:
        """The result, as soon as there is one.

        Raises:
            RemoteError: the work failed or was cancelled.
            OperationUnfinished: `timeout_s` passed first; the work goes on.
        """
        clock = asyncio.get_running_loop()
        deadline, polls = clock.time() + timeout_s, 0
        while (found := result_of(self._operation, self._result)) is None:
            if on_progress is not None:
                on_progress(self.progress)
            left_s = deadline - clock.time()
            if left_s <= 0:
                raise unfinished(self.name, timeout_s)
            await asyncio.sleep(min(left_s, poll_delay_s(polls)))
            polls += 1
            self._operation = await self._connection.call(get_operation(self._service, self.name))
        return found

    async def cancel(self) -> None:
        """Ask the work to stop; `wait` then raises what it ended with."""
        await self._connection.call(cancel_operation(self._service, self.name))


def _unary[**P, Answer: Message](
    build: Callable[P, Unary[Answer]],
) -> Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, Answer]]:
    @wraps(build)
    async def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return await self.call(build(*args, **kwargs))

    return method


def _stream[**P, Answer: Message](
    build: Callable[P, Stream[Answer]],
) -> Callable[Concatenate[AsyncConnection, P], AsyncIterator[Answer]]:
    @wraps(build)
    def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Answer]:
        return self.stream(build(*args, **kwargs))

    return method


def _pages[**P, Answer: Message, Item](
    build: Callable[P, Pages[Answer, Item]],
) -> Callable[Concatenate[AsyncConnection, P], AsyncIterator[Item]]:
    @wraps(build)
    def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Item]:
        return self.pages(build(*args, **kwargs))

    return method


def _long[**P, Result: Message](
    build: Callable[P, Long[Result]],
) -> Callable[Concatenate[AsyncConnection, P], Coroutine[Any, Any, AsyncPending[Result]]]:
    @wraps(build)
    async def method(self: AsyncConnection, /, *args: P.args, **kwargs: P.kwargs) -> AsyncPending[Result]:
        return await self.start(build(*args, **kwargs))

    return method


class AsyncSuti(AsyncConnection):
    """Suti's services for asyncio. Belongs to the loop that first calls it; close it, or use it in an `async with`.

    Each method takes what its builder in `suti.client.requests` takes, and raises RemoteError.
    """

    create_run = _unary(pipeline.create_run)
    get_run = _unary(pipeline.get_run)
    list_runs = _pages(pipeline.list_runs)
    watch_run = _stream(pipeline.watch_run)
    cancel_run = _unary(pipeline.cancel_run)
    explain_run = _unary(pipeline.explain_run)
    audit_run = _unary(pipeline.audit_run)
    plan_run = _unary(pipeline.plan_run)
    replay_filter = _unary(pipeline.replay_filter)
    get_provenance = _unary(pipeline.get_provenance)
    list_dead_letters = _pages(pipeline.list_dead_letters)
    replay_dead_letters = _unary(pipeline.replay_dead_letters)
    drop_dead_letters = _unary(pipeline.drop_dead_letters)
    create_tombstone = _unary(pipeline.create_tombstone)
    list_tombstones = _pages(pipeline.list_tombstones)
    delete_tombstone = _unary(pipeline.delete_tombstone)
    evaluate_model = _long(pipeline.evaluate_model)

    register_subject = _unary(generation.register_subject)
    get_subject = _unary(generation.get_subject)
    list_subjects = _pages(generation.list_subjects)
    delete_subject = _unary(generation.delete_subject)
    generate = _unary(generation.generate)
    generate_stream = _stream(generation.generate_stream)
    generate_batch = _long(generation.generate_batch)
    read_picture = _unary(generation.read_picture)
    list_models = _pages(generation.list_models)

    start_training = _long(apprentice.start_training)
    watch_training = _stream(apprentice.watch_training)
    stop_training = _unary(apprentice.stop_training)
    list_checkpoints = _pages(apprentice.list_checkpoints)
    promote_checkpoint = _unary(apprentice.promote_checkpoint)

    start_grouping = _long(stages.start_grouping)
    list_clusters = _pages(stages.list_clusters)
    get_cluster = _unary(stages.get_cluster)
    caption_pictures = _unary(stages.caption_pictures)
    propose_prompts = _unary(stages.propose_prompts)
    tune_expert = _long(stages.tune_expert)
    list_methods = _unary(stages.list_methods)
    score_candidates = _unary(stages.score_candidates)
