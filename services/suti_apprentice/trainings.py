"""Trainings as the ledger, the dead letters and the jobs tell of them."""

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum

from google.longrunning.operations_pb2 import Operation
from google.rpc.code_pb2 import CANCELLED, FAILED_PRECONDITION

from suti.core import keys
from suti.core.errors import PermanentError
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.port import Jobs
from suti.infra.ledger import Ledger
from suti.infra.rpc.operations import PREFIX, OperationMissing
from suti.infra.store import ObjectMissing, Store
from suti.stages.apprentice_steps import resumable_step
from suti.stages.checkpoints import Checkpoints
from suti.stages.facts import FactsReader
from suti.stages.run_spec import load_run_spec
from suti.stages.shard_work import run_is_over
from suti.stages.shards import survey
from suti.stages.wave_jobs import wave_name
from suti_apprentice import convert

_OPERATION = f"{PREFIX}training-"


class ExamplesNotReady(PermanentError):
    """A training was asked for before all of the run's candidates are judged."""

    reason = "EXAMPLES_NOT_READY"
    grpc_code = "FAILED_PRECONDITION"


class TrainingGivenUp(PermanentError):
    """A training was asked for that a dead letter tells of: it would run, and be told as failed."""

    reason = "TRAINING_GIVEN_UP"
    grpc_code = "FAILED_PRECONDITION"


class State(StrEnum):
    """How a training stands; the values are the API's names."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Training:
    """One training as it stands."""

    run_id: str
    state: State
    step: int
    steps: int
    loss: float | None = None
    resumable_step: int = 0
    message: str = ""
    at_s: float = 0.0  # monotonic; for speeds
    targets_per_step: int = 1  # pictures that one step learns from

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in {State.STOPPED, State.SUCCEEDED, State.FAILED}


class Trainings:
    """Starts, stops and tells of trainings. Also the service's operations: a training is its run's operation."""

    def __init__(self, store: Store, bus: Bus, jobs: Jobs) -> None:
        self._store = store
        self._bus = bus
        self._jobs = jobs
        self._facts = FactsReader(store)
        self._letters = DeadLetters(store)
        self.checkpoints = Checkpoints(store)

    async def start(self, run_id: str) -> Operation:
        """The training goes on from where it is. Raises ObjectMissing, TrainingGivenUp, ExamplesNotReady."""
        if not await asyncio.to_thread(Ledger(self._store, run_id).is_committed, Stage.APPRENTICE, 0):
            await asyncio.to_thread(self._wake, run_id)
            await self._bus.issue(ShardTicket(run_id=run_id, stage=Stage.APPRENTICE, shard=0))
        return await self.get(f"{_OPERATION}{run_id}")

    async def stop(self, run_id: str) -> Training:
        """It rests, with a checkpoint to go on from. Raises ObjectMissing."""
        await asyncio.to_thread(load_run_spec, self._store, run_id)
        if not await asyncio.to_thread(Ledger(self._store, run_id).is_committed, Stage.APPRENTICE, 0):
            await asyncio.to_thread(self._store.put, keys.stopped_shard(run_id, Stage.APPRENTICE, 0), b"{}")
            await self._jobs.cancel(wave_name(Stage.APPRENTICE, run_id, (0,)))
        return await self.status(run_id)

    async def status(self, run_id: str) -> Training:
        """The training as it stands. Raises ObjectMissing for an unknown run."""
        spec = await asyncio.to_thread(load_run_spec, self._store, run_id)
        state, message = await asyncio.to_thread(self._settled, run_id)
        recipe = spec.apprentice
        targets = recipe.batch_subjects * recipe.targets_per_subject
        steps, name = recipe.steps, wave_name(Stage.APPRENTICE, run_id, (0,))
        if state is State.SUCCEEDED:
            return Training(run_id, state, steps, steps, at_s=time.monotonic(), targets_per_step=targets)
        job, said = await self._jobs.status(name), (await self._jobs.progress(name)).get(0)
        resumable = await asyncio.to_thread(resumable_step, self._store, run_id)
        if state is None:
            state = State.RUNNING if job is not None and not job.state.ended else State.PENDING
        return Training(
            run_id,
            state,
            step=said.done if said is not None and state is State.RUNNING else resumable,
            steps=steps,
            loss=_loss(said.note) if said is not None else None,
            resumable_step=resumable,
            message=message or (said.note if said is not None else ""),
            at_s=time.monotonic(),
            targets_per_step=targets,
        )

    async def get(self, name: str) -> Operation:
        """See `suti.infra.rpc.operations.Operations`."""
        run_id = self._run_of(name)
        try:
            training = await self.status(run_id)
        except ObjectMissing:
            raise OperationMissing(name) from None
        operation = convert.operation_to_proto(name, training)
        if training.state is State.SUCCEEDED:
            found = await asyncio.to_thread(self.checkpoints.list, run_id=run_id)
            operation.response.Pack(convert.result_to_proto(found[0]))
        elif training.ended:
            operation.error.code = CANCELLED if training.state is State.STOPPED else FAILED_PRECONDITION
            operation.error.message = training.message
        operation.done = training.ended
        return operation

    async def cancel(self, name: str) -> None:
        """See `suti.infra.rpc.operations.Operations`."""
        await self.stop(self._run_of(name))

    def _wake(self, run_id: str) -> None:
        spec = load_run_spec(self._store, run_id)
        if letters := self._letters.list(run_id=run_id, stage=Stage.APPRENTICE):
            told = letters[0]
            raise TrainingGivenUp(
                f"the training of run {run_id} was given up ({told.message}): mend that, then "
                f"`suti dead replay {told.letter_id}`"
            )
        if not survey(self._facts.read(spec))[Stage.FILTERING].settled:
            raise ExamplesNotReady(
                f"run {run_id} has candidates left to judge: wait for its filtering stage to be done"
            )
        self._store.delete(keys.stopped_shard(run_id, Stage.APPRENTICE, 0))

    def _settled(self, run_id: str) -> tuple[State | None, str]:
        if Ledger(self._store, run_id).is_committed(Stage.APPRENTICE, 0):
            return State.SUCCEEDED, ""
        letters = self._letters.list(run_id=run_id, stage=Stage.APPRENTICE)
        if letters:
            return State.FAILED, f"{letters[0].message} (dead letter {letters[0].letter_id})"
        if self._store.exists(keys.stopped_shard(run_id, Stage.APPRENTICE, 0)):
            return State.STOPPED, "stopped: StartTraining lets it go on"
        if run_is_over(self._store, run_id):
            return State.STOPPED, "its run is over: start a new run"
        return None, ""

    @staticmethod
    def _run_of(name: str) -> str:
        run_id = name.removeprefix(_OPERATION)
        if run_id == name or not run_id.isalnum():
            raise OperationMissing(name)
        return run_id


def _loss(note: str) -> float | None:
    """The loss in what a training job says of itself (`loss 0.12345`)."""
    word, _, number = note.partition(" ")
    try:
        return float(number) if word == "loss" else None
    except ValueError:
        return None
