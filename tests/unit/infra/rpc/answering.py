"""A real servicer of the pipeline's API whose answers a test chooses."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.rpc.channel import open_channel
from suti.infra.rpc.security import ChannelSecurity, ServerSecurity
from suti.infra.rpc.server import RpcServer

Answer = Callable[[str], Awaitable[str]]


class Answering(pipeline_pb2_grpc.PipelineServiceServicer):
    """GetRun answers (or fails) as `answer` does; WatchRun streams two answers and then does the same."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def GetRun(self, request: Any, context: Any) -> pipeline_pb2.Run:
        return pipeline_pb2.Run(run_id=await self.answer(request.run_id))

    async def WatchRun(self, request: Any, context: Any) -> AsyncGenerator[pipeline_pb2.WatchRunResponse]:
        for _ in range(2):
            yield pipeline_pb2.WatchRunResponse(run=pipeline_pb2.Run(run_id=request.run_id))
        await self.answer(request.run_id)


@asynccontextmanager
async def serving(
    answer: Answer, *, security: ServerSecurity | None = None, **options: Any
) -> AsyncGenerator[RpcServer]:
    server = RpcServer("127.0.0.1:0", security=security, **options)
    server.add(
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server,
        Answering(answer),  # pyright: ignore[reportAbstractUsage] - what a test does not call stays unimplemented
        "suti.api.pipeline.v1.PipelineService",
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(
    target: str, *, security: ChannelSecurity | None = None, **options: Any
) -> AsyncGenerator[tuple[Any, grpc.aio.Channel]]:
    async with open_channel(target, security=security, **options) as channel:
        yield pipeline_pb2_grpc.PipelineServiceStub(channel), channel
        await asyncio.sleep(0)
