"""The apprentice service's gRPC API: translate, call, translate."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.longrunning.operations_pb2 import Operation

from suti.api.apprentice.v1 import apprentice_pb2 as pb
from suti.api.apprentice.v1 import apprentice_pb2_grpc
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.paging import page_of, time_token
from suti.infra.store import Store
from suti_apprentice import convert
from suti_apprentice.trainings import Training, Trainings

_MIN_INTERVAL_S = 0.1

type Context = grpc.aio.ServicerContext[Any, Any]


class ApprenticeServicer(apprentice_pb2_grpc.ApprenticeServiceServicer):
    """Trains apprentices and promotes them."""

    def __init__(self, store: Store, trainings: Trainings) -> None:
        self._trainings = trainings
        self._requests = RequestLedger(store, "apprentice")

    async def StartTraining(self, request: pb.StartTrainingRequest, context: Context) -> Operation:
        """Train a run's apprentice, or go on."""
        body = body_sha256(request)
        done = await asyncio.to_thread(self._requests.find, request.request_id, body_sha256=body)
        if done is not None:
            return await self._trainings.get(done.decode())
        operation = await self._trainings.start(request.run_id)
        await asyncio.to_thread(self._requests.record, request.request_id, body, operation.name.encode())
        return operation

    async def WatchTraining(
        self, request: pb.WatchTrainingRequest, context: Context
    ) -> AsyncIterator[pb.TrainingStatus]:
        """The training now and as it goes on."""
        interval_s = max(request.interval.ToTimedelta().total_seconds() or 1.0, _MIN_INTERVAL_S)
        before: Training | None = None
        while True:
            training = await self._trainings.status(request.run_id)
            if before is None or (training.state, training.step) != (before.state, before.step):
                yield convert.status_to_proto(training, before)
                before = training
            if training.ended:
                return
            await asyncio.sleep(interval_s)

    async def StopTraining(self, request: pb.StopTrainingRequest, context: Context) -> pb.TrainingStatus:
        """Let a training rest."""
        return convert.status_to_proto(await self._trainings.stop(request.run_id))

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:
        """Finished apprentices, newest first."""
        found = await asyncio.to_thread(self._trainings.checkpoints.list, run_id=request.run_id)
        page = page_of(
            found,
            size=request.page_size,
            token=request.page_token,
            token_of=lambda one: time_token(one.at, one.checkpoint_id),
            newest_first=True,
        )
        return pb.ListCheckpointsResponse(
            checkpoints=[convert.checkpoint_to_proto(one) for one in page.items], next_page_token=page.next_token
        )

    async def PromoteCheckpoint(self, request: pb.PromoteCheckpointRequest, context: Context) -> pb.Checkpoint:
        """Make a checkpoint the default."""
        body = body_sha256(request)
        done = await asyncio.to_thread(self._requests.find, request.request_id, body_sha256=body)
        if done is None:
            chosen = await asyncio.to_thread(
                self._trainings.checkpoints.promote, request.checkpoint_id, by=request.created_by or "anonymous"
            )
            answer = convert.checkpoint_to_proto(chosen).SerializeToString(deterministic=True)
            done = await asyncio.to_thread(self._requests.record, request.request_id, body, answer)
        return pb.Checkpoint.FromString(done)
