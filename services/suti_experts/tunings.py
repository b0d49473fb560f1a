"""Experts that callers ask for: an operation in the store each, done by a job each. No torch here."""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from google.longrunning.operations_pb2 import Operation
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2 as code

from suti.api.experts.v1 import experts_pb2 as pb
from suti.api.types.v1.types_pb2 import OperationProgress
from suti.core import keys
from suti.core.errors import ExitCode, InvalidArgument, PermanentError, SutiError
from suti.core.ids import new_run_id
from suti.infra.jobs.port import Jobs, JobState, JobStatus
from suti.infra.operations import OperationRecords
from suti.infra.requests import RequestLedger, body_sha256
from suti.infra.rpc.operations import PREFIX
from suti.infra.store import Store
from suti.ml.experts.recipe import ExpertRecipe
from suti.stages.loose_recipes import loose_recipe
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.presets import PresetName, merged
from suti.stages.wave_jobs import JobPlan

OPERATION_ID = "SUTI_OPERATION_ID"  # in a job's environment
REQUEST, RESULT, CANCELLED = "request.bin", "result.bin", "cancelled"

_SERVICE = "experts"
_FAILED = "failed.json"
_MAX_DEMONSTRATIONS, _MAX_PROMPTS, _MAX_CHARS = 10, 64, 1_000

_log = logging.getLogger(__name__)


class Tunings:
    """Starts tunings and tells of them; see `suti.infra.rpc.operations.Operations`."""

    def __init__(
        self, store: Store, jobs: Jobs, plan: JobPlan, catalogue: ModelCatalogue, *, preset: PresetName, base: str
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._plan = plan
        self._catalogue = catalogue
        self._preset: PresetName = preset
        self._base = base
        self._requests = RequestLedger(store, _SERVICE)
        self._records = OperationRecords(store, _SERVICE)

    async def start(self, request: pb.TuneExpertRequest) -> Operation:
        """The operation of this request; the same request id yields the same one.

        Raises:
            InvalidArgument, BadOverride, UnknownModel: each names the field that is wrong.
        """
        operation_id = await asyncio.to_thread(self._accept, request)
        with suppress(SutiError):  # accepted all the same: `keep_going` starts what has no job
            await self._go_on(operation_id)
        return await self.get(f"{PREFIX}{operation_id}")

    async def get(self, name: str) -> Operation:
        """The operation as it stands. Raises OperationMissing."""
        operation_id, record = await asyncio.to_thread(self._records.get, name)
        operation = Operation(name=name)
        if await self._found_end(operation_id) is None:
            with suppress(SutiError):  # told as it was last known; `keep_going` goes on
                await self._go_on(operation_id)
        result = await self._part(operation_id, RESULT)
        progress = None
        with suppress(SutiError):
            progress = (await self._jobs.progress(_job(operation_id))).get(0)
        created = Timestamp()
        created.FromDatetime(datetime.fromisoformat(record["created_at"]))
        operation.metadata.Pack(
            OperationProgress(
                doing=progress.note if progress else "waiting",
                done=progress.done if progress else 0,
                total=progress.total if progress else record["steps"],
                unit="steps",
                create_time=created,
                request_id=record["request_id"],
            )
        )
        if result is not None:
            operation.done = True
            operation.response.Pack(pb.TuneExpertResult.FromString(result))
        elif await self._part(operation_id, CANCELLED) is not None:
            operation.done = True
            operation.error.code, operation.error.message = (
                code.CANCELLED,
                "cancelled: start a new one with a new request_id",
            )
        elif (failed := await self._part(operation_id, _FAILED)) is not None:
            operation.done = True
            operation.error.code, operation.error.message = json.loads(failed)
        return operation

    async def cancel(self, name: str) -> None:
        """Its job ends within seconds. What fails here, or is cut short after the mark, `keep_going` does."""
        operation_id, _ = await asyncio.to_thread(self._records.get, name)
        if await self._part(operation_id, RESULT) is None:
            await asyncio.to_thread(self._store.put, keys.operation_part(operation_id, CANCELLED), b"{}")
            await self._jobs.cancel(_job(operation_id))

    def _accept(self, request: pb.TuneExpertRequest) -> str:
        body = body_sha256(request)
        done = self._requests.find(request.request_id, body_sha256=body)
        if done is not None and self._store.exists(keys.operation(done.decode())):
            return done.decode()
        _check(request)
        changes = merged(MessageToDict(request.overrides), {"method": request.method} if request.method else {})
        recipe = loose_recipe(ExpertRecipe, "experts", preset=self._preset, overrides=changes)
        named = request.base
        base = self._catalogue.find("base", named.name or self._base, sha256=named.sha256)
        # The request id comes first: what was cut short behind it goes on with the next call.
        operation_id = self._requests.record(request.request_id, body, new_run_id().encode()).decode()
        record = {
            "request_id": request.request_id,
            "created_at": datetime.now(UTC).isoformat(),
            "created_by": request.created_by or "anonymous",
            "steps": recipe.steps + recipe.sampling.steps,
            "recipe": recipe.model_dump(mode="json"),
            "base": base.model_dump(),
        }
        self._store.put(keys.operation_part(operation_id, REQUEST), request.SerializeToString())
        self._records.accept(operation_id, record)
        return operation_id

    async def keep_going(self, stop: asyncio.Event, *, every_s: float = 5.0) -> None:
        """What was accepted is started and comes to an end, whoever asks for it or dies meanwhile."""
        while not stop.is_set():
            try:
                await self._look_after(await asyncio.to_thread(lambda: [one for one, _ in self._records.open()]), stop)
            except SutiError as error:
                _log.warning("cannot look after tunings just now: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)

    async def _look_after(self, operation_ids: Sequence[str], stop: asyncio.Event) -> None:
        """One tuning's trouble is not the others': who has ended may hold what the one before waits for."""
        later: list[tuple[str, SutiError]] = []
        for operation_id in operation_ids:
            if stop.is_set():
                break
            try:
                await self._go_on(operation_id)
            except PermanentError as error:
                _log.error("tuning %s: %s", operation_id, error)
            except SutiError as error:
                later.append((operation_id, error))
        if later:
            _log.warning("%d tunings cannot go on just now, tuning %s: %s", len(later), *later[0])

    async def _go_on(self, operation_id: str) -> None:
        """A tuning without job is started; one that ended is marked so, with its failure: jobs are forgotten."""
        if await asyncio.to_thread(self._records.has_ended, operation_id):
            return
        job = _job(operation_id)
        if (end := await self._found_end(operation_id)) is not None:
            if end == CANCELLED:  # who marked it so may have died, or failed, before its job was told
                await self._jobs.cancel(job)
            await self._jobs.release(job)  # first: once the end is marked, nobody looks after the job
            await asyncio.to_thread(self._records.end, operation_id)
            return
        status = await self._jobs.status(job)
        if status is None:
            await self._jobs.start(self._plan.job(job, {OPERATION_ID: operation_id}))
            if await self._part(operation_id, CANCELLED) is not None:  # meanwhile, when there was no job to end
                await self._jobs.cancel(job)
                await self._jobs.release(job)
        elif status.state.ended and status.state is not JobState.SUCCEEDED:
            failed = json.dumps(_failure(status)).encode()
            await asyncio.to_thread(self._store.create, keys.operation_part(operation_id, _FAILED), failed)

    async def _found_end(self, operation_id: str) -> str | None:
        """The part of the operation that tells its end, once there is one."""
        for end in (RESULT, CANCELLED, _FAILED):
            if await self._part(operation_id, end) is not None:
                return end
        return None

    async def _part(self, operation_id: str, name: str) -> bytes | None:
        return await asyncio.to_thread(self._records.part, operation_id, name)


def _check(request: pb.TuneExpertRequest) -> None:
    if not 1 <= len(request.demonstrations) <= _MAX_DEMONSTRATIONS:
        raise InvalidArgument("demonstrations", f"{len(request.demonstrations)}: send 1 to {_MAX_DEMONSTRATIONS}")
    if not 1 <= len(request.prompts) <= _MAX_PROMPTS:
        raise InvalidArgument("prompts", f"{len(request.prompts)}: send 1 to {_MAX_PROMPTS}")
    if any(not 1 <= len(prompt) <= _MAX_CHARS for prompt in request.prompts):
        raise InvalidArgument("prompts", f"one is empty or too long: give 1 to {_MAX_CHARS} characters each")
    if request.seed >= 2**63:
        raise InvalidArgument("seed", f"{request.seed} is too large: give one below 2^63")


def _job(operation_id: str) -> str:
    return f"suti-tune-{operation_id.lower()}"


def _failure(status: JobStatus) -> tuple[int, str]:
    index = status.indexes[0]
    why = code.INVALID_ARGUMENT if index.exit_code == ExitCode.BAD_DATA else code.INTERNAL
    return why, f"{index.reason}: {index.message}" if index.reason else (status.message or "see the job's log")
