"""A real gRPC server on a free loopback port, with small services of our own making behind the generated servicers."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from suti.api.generation.v1 import generation_pb2 as generation
from suti.api.generation.v1 import generation_pb2_grpc
from suti.api.pipeline.v1 import pipeline_pb2 as pipeline
from suti.api.pipeline.v1 import pipeline_pb2_grpc
from suti.api.types.v1.types_pb2 import OperationProgress
from suti.client import AsyncSuti, Endpoints, Options, Suti

RUN = "01JD0000000000000000000000"
QUICK = Options(timeout_s=5.0, watch_timeout_s=5.0, first_delay_s=0.05, longest_delay_s=0.2)


def details_of(
    code: grpc.StatusCode, message: str, *, reason: str, retry: bool = False, field_name: str = ""
) -> status_pb2.Status:
    """A status with the details that every service of Suti sends."""
    status = status_pb2.Status(code=code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain="suti", metadata={"trace_id": "ab" * 16})
    status.details.add().Pack(info)
    if retry:
        status.details.add().Pack(error_details_pb2.RetryInfo())
    if field_name:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field_name, description=message)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


@dataclass
class Backstage:
    """What the server saw, and what it shall do."""

    address: str = ""
    seen: list[Message] = field(default_factory=list[Message])
    metadata: list[dict[str, str | bytes]] = field(default_factory=list[dict[str, str | bytes]])
    calls: Counter[str] = field(default_factory=Counter[str])
    trouble: dict[str, list[status_pb2.Status]] = field(default_factory=dict[str, list[status_pb2.Status]])
    hung_up: threading.Event = field(default_factory=threading.Event)

    def enter(self, method: str, request: Message, context: grpc.ServicerContext) -> None:
        """Notes a call, and ends it with the trouble that waits for it, if any."""
        self.calls[method] += 1
        self.seen.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if waiting := self.trouble.get(method):
            context.abort_with_status(rpc_status.to_status(waiting.pop(0)))


class Pipeline(pipeline_pb2_grpc.PipelineServiceServicer):
    """Two runs on two pages; a watch that breaks off in the middle, once."""

    def __init__(self, backstage: Backstage) -> None:
        self.backstage = backstage

    def CreateRun(self, request: pipeline.CreateRunRequest, context: grpc.ServicerContext) -> pipeline.Run:
        self.backstage.enter("CreateRun", request, context)
        return pipeline.Run(run_id=RUN, created_by=request.created_by, order=request.order)

    def GetRun(self, request: pipeline.GetRunRequest, context: grpc.ServicerContext) -> pipeline.Run:
        self.backstage.enter("GetRun", request, context)
        return pipeline.Run(run_id=request.run_id)

    def ListRuns(self, request: pipeline.ListRunsRequest, context: grpc.ServicerContext) -> pipeline.ListRunsResponse:
        self.backstage.enter("ListRuns", request, context)
        if request.page_token:
            return pipeline.ListRunsResponse(runs=[pipeline.Run(run_id="older")])
        return pipeline.ListRunsResponse(runs=[pipeline.Run(run_id="newer")], next_page_token="2")

    def WatchRun(
        self, request: pipeline.WatchRunRequest, context: grpc.ServicerContext
    ) -> Iterator[pipeline.WatchRunResponse]:
        self.backstage.enter("WatchRun", request, context)
        yield pipeline.WatchRunResponse(run=pipeline.Run(run_id=RUN))
        if waiting := self.backstage.trouble.get("WatchRun, later"):
            context.abort_with_status(rpc_status.to_status(waiting.pop(0)))
        ended = pipeline.RunOutcome(state=pipeline.RUN_STATE_SUCCEEDED)
        context.add_callback(self.backstage.hung_up.set)
        yield pipeline.WatchRunResponse(run=pipeline.Run(run_id=RUN, outcome=ended))
        while context.is_active():  # it would go on for ever: a reader who has seen the outcome hangs up
            threading.Event().wait(0.01)


class Generation(generation_pb2_grpc.GenerationServiceServicer):
    """Draws nothing quickly, streams two steps, and batches in the background."""

    def __init__(self, backstage: Backstage) -> None:
        self.backstage = backstage

    def Generate(
        self, request: generation.GenerateRequest, context: grpc.ServicerContext
    ) -> generation.GenerateResponse:
        self.backstage.enter("Generate", request, context)
        return generation.GenerateResponse(seed=request.seed, provenance_id=request.request_id)

    def GenerateStream(
        self, request: generation.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[generation.GenerateEvent]:
        self.backstage.enter("GenerateStream", request, context)
        yield generation.GenerateEvent(step=generation.StepDone(step=1, steps=2))
        if self.backstage.calls["GenerateStream"] == 1:
            return  # a server that goes away politely, without a result
        yield generation.GenerateEvent(result=generation.GenerateResponse(provenance_id=request.request_id))

    def GenerateBatch(
        self, request: generation.GenerateBatchRequest, context: grpc.ServicerContext
    ) -> operations_pb2.Operation:
        self.backstage.enter("GenerateBatch", request, context)
        return _operation(done=0)

    def DeleteSubject(self, request: generation.DeleteSubjectRequest, context: grpc.ServicerContext) -> Empty:
        self.backstage.enter("DeleteSubject", request, context)
        return Empty()


class Operations(operations_pb2_grpc.OperationsServicer):
    """One operation that is done at the second look, or cancelled."""

    def __init__(self, backstage: Backstage) -> None:
        self.backstage = backstage

    def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: grpc.ServicerContext
    ) -> operations_pb2.Operation:
        self.backstage.enter("GetOperation", request, context)
        operation = _operation(done=self.backstage.calls["GetOperation"])
        if self.backstage.calls["CancelOperation"]:
            operation.done = True
            operation.error.CopyFrom(
                details_of(grpc.StatusCode.CANCELLED, "cancelled by its owner", reason="CANCELLED")
            )
        elif self.backstage.calls["GetOperation"] >= 2:
            operation.done = True
            operation.response.Pack(
                generation.GenerateBatchResult(items=[generation.GenerateBatchItem(request_id="first")])
            )
        return operation

    def CancelOperation(self, request: operations_pb2.CancelOperationRequest, context: grpc.ServicerContext) -> Empty:
        self.backstage.enter("CancelOperation", request, context)
        return Empty()


def _operation(*, done: int) -> operations_pb2.Operation:
    operation = operations_pb2.Operation(name="operations/1")
    operation.metadata.Pack(OperationProgress(done=done, total=2, unit="requests"))
    return operation


def start_server(backstage: Backstage, *, address: str = "127.0.0.1:0") -> grpc.Server:
    """Starts the server; `backstage.address` says where it listens."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    # The stubs call servicers abstract; what the tests never call stays UNIMPLEMENTED, as on an older server.
    pipeline_pb2_grpc.add_PipelineServiceServicer_to_server(
        Pipeline(backstage),  # pyright: ignore[reportAbstractUsage]
        server,
    )
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(
        Generation(backstage),  # pyright: ignore[reportAbstractUsage]
        server,
    )
    operations_pb2_grpc.add_OperationsServicer_to_server(Operations(backstage), server)
    backstage.address = f"127.0.0.1:{server.add_insecure_port(address)}"
    server.start()
    return server


@pytest.fixture
def backstage() -> Generator[Backstage]:
    """What a running server saw, and what it shall do."""
    backstage = Backstage()
    server = start_server(backstage)
    yield backstage
    server.stop(None).wait(5.0)


Ask = Callable[..., Any]


@pytest.fixture(params=["threads", "asyncio"])
def ask(request: pytest.FixtureRequest, backstage: Backstage) -> Ask:
    """Calls a client's method by name, in both flavours; streams and pages come as lists, operations as results."""

    def with_threads(name: str, *args: object, options: Options = QUICK, **kwargs: object) -> object:
        with Suti(Endpoints.single(backstage.address), options=options) as suti:
            answer = getattr(suti, name)(*args, **kwargs)
            if isinstance(answer, Iterator):
                return list(answer)
            return answer.wait(timeout_s=5.0) if hasattr(answer, "wait") else answer

    async def with_asyncio(name: str, *args: object, options: Options = QUICK, **kwargs: object) -> object:
        async with AsyncSuti(Endpoints.single(backstage.address), options=options) as suti:
            answer = getattr(suti, name)(*args, **kwargs)
            if hasattr(answer, "__aiter__"):
                return [item async for item in answer]
            answer = await answer
            return await answer.wait(timeout_s=5.0) if hasattr(answer, "wait") else answer

    if request.param == "threads":
        return with_threads
    return lambda *args, **kwargs: asyncio.run(with_asyncio(*args, **kwargs))
