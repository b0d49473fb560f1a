"""The pipeline's gRPC API: translate, call, translate."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.longrunning.operations_pb2 import Operation
from google.protobuf.empty_pb2 import Empty

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.pipeline.v1 import pipeline_pb2_grpc
from suti.core import keys
from suti.core.errors import InvalidArgument, PermanentError
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.dead_letters import DeadLetter, DeadLetters
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.paging import page_of, time_token
from suti.infra.store import Store
from suti.infra.telemetry.context import working_on
from suti.infra.tombstones import add_tombstone, list_tombstones, remove_tombstone
from suti.stages.facts import dead_shards
from suti.stages.presets import PresetName
from suti.stages.replays import ReplayOrder
from suti.stages.run_view import RunReader, RunView
from suti_pipeline import convert
from suti_pipeline.controller import Controller
from suti_pipeline.evaluations import Evaluations
from suti_pipeline.explain import explain
from suti_pipeline.runs import Runs
from suti_pipeline.study import Study

_MIN_INTERVAL_S = 0.1

_log = logging.getLogger(__name__)

type Context = grpc.aio.ServicerContext[Any, Any]


class PipelineServicer(pipeline_pb2_grpc.PipelineServiceServicer):
    """Starts runs and explains them. All that blocks runs in threads."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        controller: Controller,
        runs: Runs,
        study: Study,
        *,
        evaluations: Evaluations,
        preset: PresetName,
    ) -> None:
        self._evaluations = evaluations
        self._store = store
        self._bus = bus
        self._controller = controller
        self._runs = runs
        self._study = study
        self._preset: PresetName = preset
        self._reader = RunReader(store, controller.facts)
        self._letters = DeadLetters(store)
        self._requests = RequestLedger(store, "pipeline")

    async def CreateRun(self, request: pb.CreateRunRequest, context: Context) -> pb.Run:
        """Freeze and start a run."""
        order = convert.order_from_proto(request.order, created_by=request.created_by, default_preset=self._preset)
        run_id = await asyncio.to_thread(
            self._runs.create, order, request_id=request.request_id, body_sha256=body_sha256(request)
        )
        return await self._started(run_id)

    async def ReplayFilter(self, request: pb.ReplayFilterRequest, context: Context) -> pb.Run:
        """Judge a run's candidates anew, as a child run."""
        limits = ("min_gain", "max_copy_similarity", "min_copy_difference", "min_subject_similarity")
        order = ReplayOrder(
            filtering={name: getattr(request, name) for name in limits if request.HasField(name)},
            apprentice=convert.dict_from_struct(request.apprentice_overrides),
            created_by=request.created_by or "anonymous",
        )
        run_id = await asyncio.to_thread(
            self._runs.replay, request.run_id, order, request_id=request.request_id, body_sha256=body_sha256(request)
        )
        return await self._started(run_id)

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.Run:
        """The run as it stands."""
        return convert.run_to_proto(await self._view(request.run_id))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        """Runs, newest first."""
        names = await asyncio.to_thread(self._store.folders, keys.RUNS)
        views: list[RunView] = []
        page = page_of(
            sorted(names, reverse=True),
            size=request.page_size,
            token=request.page_token,
            token_of=str,
            newest_first=True,
        )
        for run_id in page.items:
            if not await asyncio.to_thread(self._store.exists, keys.run_spec(run_id)):
                continue
            try:
                views.append(await self._view(run_id))
            except PermanentError as error:  # a damaged run hides no other
                _log.warning("run %s cannot be shown: %s", run_id, error)
        wanted = [view for view in views if request.state in (0, convert.state_to_proto(view.state))]
        return pb.ListRunsResponse(
            runs=[convert.run_to_proto(view, with_spec=False) for view in wanted], next_page_token=page.next_token
        )

    async def WatchRun(self, request: pb.WatchRunRequest, context: Context) -> AsyncIterator[pb.WatchRunResponse]:
        """The run now and after every change, until it has ended."""
        interval_s = max(request.interval.ToTimedelta().total_seconds() or 1.0, _MIN_INTERVAL_S)
        told = pb.Run()
        while True:
            began = time.monotonic()
            run = convert.run_to_proto(await self._view(request.run_id), with_spec=False)
            if _but_for_time(run) != _but_for_time(told):
                told = run
                yield pb.WatchRunResponse(run=run)
            if run.HasField("outcome"):
                return
            await asyncio.sleep(max(0.0, interval_s - (time.monotonic() - began)))

    async def CancelRun(self, request: pb.CancelRunRequest, context: Context) -> pb.Run:
        """Ask a run to stop."""
        convert.check_length("reason", request.reason, convert.MAX_REASON)
        if await asyncio.to_thread(self._runs.cancel, request.run_id, reason=request.reason):
            await self._bus.announce("cancelled", run_id=request.run_id)
            self._controller.ring()
        return convert.run_to_proto(await self._view(request.run_id))

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        """Dead letters, newest first."""
        stage = convert.stage_from_proto(request.stage)
        letters = await asyncio.to_thread(self._letters.list, run_id=request.run_id or None, stage=stage)
        page = page_of(
            letters,
            size=request.page_size,
            token=request.page_token,
            token_of=lambda letter: time_token(letter.at, letter.letter_id),
            newest_first=True,
        )
        return pb.ListDeadLettersResponse(
            letters=[convert.letter_to_proto(letter) for letter in page.items], next_page_token=page.next_token
        )

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: Context
    ) -> pb.ReplayDeadLettersResponse:
        """Put dead letters back into their queues."""
        body = body_sha256(request)
        done = await asyncio.to_thread(self._requests.find, request.request_id, body_sha256=body)
        if done is not None:
            return pb.ReplayDeadLettersResponse.FromString(done)
        letters = await self._chosen(request.choice)
        for letter in letters:  # before any is sent
            await asyncio.to_thread(self._runs.check_replay, letter)
        for letter in letters:
            await self._letters.replay(self._bus, letter.letter_id)
        answer = pb.ReplayDeadLettersResponse(letter_ids=[letter.letter_id for letter in letters])
        standing = await asyncio.to_thread(
            self._requests.record, request.request_id, body, answer.SerializeToString(deterministic=True)
        )
        return pb.ReplayDeadLettersResponse.FromString(standing)

    async def DropDeadLetters(self, request: pb.DropDeadLettersRequest, context: Context) -> pb.DropDeadLettersResponse:
        """Forget dead letters; their runs go on without the shards."""
        letters = await self._chosen(request.choice)
        for letter in letters:
            await asyncio.to_thread(self._runs.bury, letter)
        self._controller.ring()
        return pb.DropDeadLettersResponse(letter_ids=[letter.letter_id for letter in letters])

    async def ExplainRun(self, request: pb.ExplainRunRequest, context: Context) -> pb.ExplainRunResponse:
        """What each stage waits for."""
        queues = {stage: await self._bus.queue_state(stage) for stage in Stage}
        letters = await asyncio.to_thread(self._letters.list, run_id=request.run_id)
        view = await self._view(request.run_id)
        return explain(view, queues, letters, waiting=self._controller.waiting)

    async def AuditRun(self, request: pb.AuditRunRequest, context: Context) -> pb.AuditRunResponse:
        """Count every item of a run."""
        return await asyncio.to_thread(self._study.audit, request.run_id)

    async def PlanRun(self, request: pb.PlanRunRequest, context: Context) -> pb.PlanRunResponse:
        """What a run would take."""
        order = convert.order_from_proto(request.order, created_by="", default_preset=self._preset)
        return await asyncio.to_thread(self._study.plan, order)

    async def GetProvenance(self, request: pb.GetProvenanceRequest, context: Context) -> pb.GetProvenanceResponse:
        """Where a thing came from, or what became of it."""
        return await asyncio.to_thread(self._study.provenance, request)

    async def CreateTombstone(self, request: pb.CreateTombstoneRequest, context: Context) -> pb.Tombstone:
        """Take pages or pictures out of all that begins from now on."""
        body = body_sha256(request)
        done = await asyncio.to_thread(self._requests.find, request.request_id, body_sha256=body)
        if done is not None:
            return pb.Tombstone.FromString(done)
        tombstone = convert.tombstone_from_proto(request)
        await asyncio.to_thread(add_tombstone, self._store, tombstone)
        answer = convert.tombstone_to_proto(tombstone).SerializeToString(deterministic=True)
        return pb.Tombstone.FromString(await asyncio.to_thread(self._requests.record, request.request_id, body, answer))

    async def ListTombstones(self, request: pb.ListTombstonesRequest, context: Context) -> pb.ListTombstonesResponse:
        """Tombstones, newest first."""
        page = page_of(
            await asyncio.to_thread(list_tombstones, self._store),
            size=request.page_size,
            token=request.page_token,
            token_of=lambda one: time_token(one.created_at, one.tombstone_id),
            newest_first=True,
        )
        return pb.ListTombstonesResponse(
            tombstones=[convert.tombstone_to_proto(one) for one in page.items], next_page_token=page.next_token
        )

    async def DeleteTombstone(self, request: pb.DeleteTombstoneRequest, context: Context) -> Empty:
        """Take a tombstone back."""
        await asyncio.to_thread(remove_tombstone, self._store, request.tombstone_id)
        return Empty()

    async def EvaluateModel(self, request: pb.EvaluateModelRequest, context: Context) -> Operation:
        """Draw subjects with a model and score what it drew, in the background."""
        return await self._evaluations.start(request)

    async def _started(self, run_id: str) -> pb.Run:
        self._controller.ring()
        with working_on(run_id=run_id):
            return convert.run_to_proto(await self._view(run_id))

    async def _view(self, run_id: str) -> RunView:
        def read() -> RunView:
            return self._reader.view(run_id, dead=dead_shards(self._letters), work=self._controller.progress)

        return await asyncio.to_thread(read)

    async def _chosen(self, choice: pb.DeadLetterChoice) -> list[DeadLetter]:
        if choice.letter_ids:
            return [await asyncio.to_thread(self._letters.get, name) for name in choice.letter_ids]
        if not choice.run_id:
            raise InvalidArgument("choice", "neither letters nor a run: name letters, or a run to mean all of its own")
        return await asyncio.to_thread(self._letters.list, run_id=choice.run_id)


def _but_for_time(run: pb.Run) -> bytes:
    """The run without what changes by itself as time goes by."""
    copy = pb.Run()
    copy.CopyFrom(run)
    for stage in copy.stages:
        stage.ClearField("elapsed")
    return copy.SerializeToString(deterministic=True)
