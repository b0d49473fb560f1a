"""The client for threads."""

import time
from collections.abc import Callable, Iterator
from functools import wraps
from threading import Lock
from types import TracebackType
from typing import Any, Concatenate, Self

import grpc
from google.longrunning.operations_pb2 import Operation
from google.protobuf.message import Message

from suti.api.types.v1.types_pb2 import OperationProgress
from suti.client.calls import Long, Pages, Rpc, Stream, Unary
from suti.client.channels import open_channel
from suti.client.endpoints import Endpoints, Service
from suti.client.errors import RemoteError, RemoteTrouble, broken_off, error_from_rpc
from suti.client.operations import cancel_operation, get_operation, progress_of, result_of, unfinished
from suti.client.options import Options
from suti.client.patience import Patience, poll_delay_s
from suti.client.requests import apprentice, generation, pipeline, stages


class Connection:
    """Runs calls. One channel per address, opened at its first call."""

    def __init__(self, endpoints: Endpoints | str, *, options: Options | None = None) -> None:
        self._endpoints = Endpoints.single(endpoints) if isinstance(endpoints, str) else endpoints
        self._options = options or Options()
        self._channels: dict[str, grpc.Channel] = {}
        self._opening = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all channels; calls under way end."""
        with self._opening:
            while self._channels:
                self._channels.popitem()[1].close()

    def call[Answer: Message](self, call: Unary[Answer]) -> Answer:
        """Run one call. Raises RemoteError."""
        options = self._options
        method = self._channel(call).unary_unary(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        timeout_s = options.drawing_timeout_s if call.computes else options.timeout_s
        try:
            return method(call.request, timeout=timeout_s, metadata=options.call_metadata())
        except grpc.RpcError as error:
            raise self._error(call, error) from error

    def stream[Answer: Message](self, call: Stream[Answer]) -> Iterator[Answer]:
        """Run a stream to its last answer, and take it up again where the connection breaks. Raises RemoteError."""
        patience = Patience(self._options)
        while True:
            try:
                for answer in self._stream_once(call):
                    patience.renew()
                    yield answer
                    if call.is_last(answer):
                        return
                error = broken_off(call.method)
            except grpc.RpcError as failure:
                error = self._error(call, failure)
            delay_s = patience.delay_s()
            if delay_s is None or not isinstance(error, RemoteTrouble):
                raise error
            time.sleep(delay_s)

    def pages[Answer: Message, Item](self, pages: Pages[Answer, Item]) -> Iterator[Item]:
        """Run a list page by page, as far as it is read. Raises RemoteError."""
        following: Unary[Answer] | None = pages.first
        while following is not None:
            answer = self.call(following)
            yield from pages.items(answer)
            following = pages.after(answer)

    def start[Result: Message](self, long: Long[Result]) -> "Pending[Result]":
        """Start work that goes on in the background. Raises RemoteError."""
        return Pending(self, long.start.service, self.call(long.start), long.result)

    def pending[Result: Message](self, service: Service, name: str, result: type[Result]) -> "Pending[Result]":
        """Work that was started earlier, perhaps by somebody else, by its operation's name. Raises RemoteError."""
        return Pending(self, service, self.call(get_operation(service, name)), result)

    def _stream_once[Answer: Message](self, call: Stream[Answer]) -> Iterator[Answer]:
        method = self._channel(call).unary_stream(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.answer.FromString,
        )
        options = self._options
        answers = method(call.request, timeout=options.watch_timeout_s, metadata=options.call_metadata())
        try:
            yield from answers
        finally:
            answers.cancel()  # also when the reader leaves early

    def _channel(self, call: Rpc[Any]) -> grpc.Channel:
        address = self._endpoints.of(call.service)
        with self._opening:
            if address not in self._channels:
                self._channels[address] = open_channel(address, self._options)
            return self._channels[address]

    def _error(self, call: Rpc[Any], error: grpc.RpcError) -> RemoteError:
        return error_from_rpc(error, called=f"{call.service} at {self._endpoints.of(call.service)}, {call.method}")


class Pending[Result: Message]:
    """Work that goes on in the background."""

    def __init__(self, connection: Connection, service: Service, operation: Operation, result: type[Result]) -> None:
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

    def wait(
        self, *, timeout_s: float = 3600.0, on_progress: Callable[[OperationProgress], None] | None = None
    ) -> Result:
        """The result, as soon as there is one.

        Raises:
            RemoteError: the work failed or was cancelled.
            OperationUnfinished: `timeout_s` passed first; the work goes on.
        """
        deadline, polls = time.monotonic() + timeout_s, 0
        while (found := result_of(self._operation, self._result)) is None:
            if on_progress is not None:
                on_progress(self.progress)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise unfinished(self.name, timeout_s)
            time.sleep(min(left_s, poll_delay_s(polls)))
            polls += 1
            self._operation = self._connection.call(get_operation(self._service, self.name))
        return found

    def cancel(self) -> None:
        """Ask the work to stop; `wait` then raises what it ended with."""
        self._connection.call(cancel_operation(self._service, self.name))


def _unary[**P, Answer: Message](
    build: Callable[P, Unary[Answer]],
) -> Callable[Concatenate[Connection, P], Answer]:
    @wraps(build)
    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        return self.call(build(*args, **kwargs))

    return method


def _stream[**P, Answer: Message](
    build: Callable[P, Stream[Answer]],
) -> Callable[Concatenate[Connection, P], Iterator[Answer]]:
    @wraps(build)
    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Answer]:
        return self.stream(build(*args, **kwargs))

    return method


def _pages[**P, Answer: Message, Item](
    build: Callable[P, Pages[Answer, Item]],
) -> Callable[Concatenate[Connection, P], Iterator[Item]]:
    @wraps(build)
    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Item]:
        return self.pages(build(*args, **kwargs))

    return method


def _long[**P, Result: Message](
    build: Callable[P, Long[Result]],
) -> Callable[Concatenate[Connection, P], Pending[Result]]:
    @wraps(build)
    def method(self: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Pending[Result]:
        return self.start(build(*args, **kwargs))

    return method


class Suti(Connection):
    """Suti's services for threads. Safe to share between threads; close it, or use it in a `with`.

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
