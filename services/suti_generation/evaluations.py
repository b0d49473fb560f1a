"""Takes the pipeline service's evaluations, shard by shard: drawn by the painter, measured beside it."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.rpc.code_pb2 import FAILED_PRECONDITION, INVALID_ARGUMENT
from PIL import Image

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import ModelRef
from suti.core import keys
from suti.core.errors import BadConfiguration, PermanentError, SutiError
from suti.core.model_rules import ModelRules
from suti.infra.bus.lease import Lease
from suti.infra.operations import OperationRecords
from suti.infra.rpc.operations import PREFIX, OperationMissing
from suti.infra.store import Store
from suti.ml.clip.encoder import load_clip
from suti.ml.evaluation.dino import load_dino
from suti.ml.model_files import ModelMissing
from suti.stages.evaluation import orders
from suti.stages.evaluation.drawings import Outcome, as_they_come
from suti.stages.evaluation.measuring import MeasuringModels
from suti.stages.evaluation.places import ROWS
from suti.stages.evaluation.plan import System, check_model, read_plan
from suti.stages.evaluation.stored import StoredEvaluation
from suti.stages.evaluation.subjects import EvaluationSubject
from suti.stages.evaluation.summing import sum_up
from suti.stages.evaluation.totals import Total
from suti.stages.evaluation.work import EvaluationFolder
from suti.stages.generation.entries import ModelEntry
from suti.stages.generation.order import DrawOrder
from suti.stages.generation.registry import ModelRegistry
from suti.stages.generation.studio import Studio
from suti.stages.model_catalogue import ModelCatalogue

_ACCEPTED_BY = "pipeline"


@dataclass(frozen=True)
class _Painted:
    """Has the studio draw for a thread: requests of one prompt side by side, as callers' are."""

    studio: Studio
    loop: asyncio.AbstractEventLoop
    order: orders.EvaluationOrder
    model: ModelEntry
    deadline_s: float

    def draw(self, subject: EvaluationSubject, prompt: str, seeds: Sequence[int]) -> Iterator[Outcome]:
        """One outcome for each seed, as they come. Raises EvaluationChanged, RetryableError."""
        return as_they_come(
            {asyncio.run_coroutine_threadsafe(self._one(subject, prompt, seed), self.loop): seed for seed in seeds}
        )

    async def _one(self, subject: EvaluationSubject, prompt: str, seed: int) -> Image.Image:
        order = DrawOrder(
            prompt=prompt, model=self.model.name, seed=seed, steps=self.order.steps, guidance=self.order.guidance
        )
        drawn = await self.studio.draw(
            order,
            subject_id=subject.name if self.model.sees_subjects else "",
            deadline_s=self.deadline_s,
            tell=lambda _told: None,
        )
        check_model(self.model.name, self.model.sha256, drawn.model.sha256 if drawn.model else "")
        (picture,) = drawn.painted.pictures
        return picture


class EvaluationWorker:
    """Does one shard of an evaluation, or its sum. Safe to run twice: equal work makes equal rows."""

    def __init__(
        self,
        store: Store,
        studio: Studio,
        registry: ModelRegistry,
        catalogue: ModelCatalogue,
        *,
        rules: ModelRules,
        device: str,
        deadline_s: float,
    ) -> None:
        self._store, self._studio, self._registry, self._catalogue = store, studio, registry, catalogue
        self._rules, self._device, self._deadline_s = rules, device, deadline_s
        ids = keys.PIPELINE_OPERATIONS.removeprefix(keys.OPERATIONS)
        self._records = OperationRecords(store, _ACCEPTED_BY, ids=ids)
        self._loaded: tuple[tuple[str, str], MeasuringModels] | None = None  # of the last evaluation
        self._open: tuple[tuple[str, System], StoredEvaluation] | None = None  # the last evaluation

    async def is_ours(self, operation_id: str) -> bool:
        """Whether a ticket's operation is an evaluation."""
        try:
            await asyncio.to_thread(self._records.get, f"{PREFIX}{operation_id}")
        except OperationMissing:
            return False
        return True

    async def work(self, operation_id: str, index: int, lease: Lease) -> None:
        """Return = done; what can never be done is the evaluation's failure.

        Raises:
            SutiError: another try may heal it.
        """
        try:
            await lease.keep_alive(self._work, operation_id, index, asyncio.get_running_loop())
        except SutiError as error:
            if not lease.gives_up(error):
                raise
            code = FAILED_PRECONDITION if isinstance(error, BadConfiguration) else INVALID_ARGUMENT
            failed = json.dumps([code, f"{error.reason}: {error}"]).encode()
            await asyncio.to_thread(self._store.create, keys.operation_part(operation_id, orders.FAILED), failed)

    def _work(self, operation_id: str, index: int, loop: asyncio.AbstractEventLoop) -> None:
        if any(self._store.exists(keys.operation_part(operation_id, end)) for end in orders.ENDS):
            return
        order = orders.EvaluationOrder.model_validate_json(
            self._store.get(keys.operation_part(operation_id, orders.ORDER))
        )
        shards = order.shards()
        if index > len(shards):
            raise ShardBeyondEvaluation(f"shard {index} of evaluation {operation_id}: drop the letter")
        if index == len(shards):
            self._sum_up(operation_id)
            return
        item = orders.item_key(operation_id, index)
        if self._store.exists(item):
            return
        subject, prompt = shards[index]
        model = self._registry.find(order.model)
        sampling = DrawOrder(prompt="-", steps=order.steps, guidance=order.guidance).recipe(model.sampling)
        system = System(
            name=model.name,
            sha256=model.sha256,
            settings=sampling.model_dump_json(),
            sees_subjects=model.sees_subjects,
        )
        drawer = _Painted(self._studio, loop, order, model, self._deadline_s)
        self._evaluation(operation_id, order, system).do_shard(subject, prompt, drawer)
        self._store.create(item, b"")

    def _evaluation(self, operation_id: str, order: orders.EvaluationOrder, system: System) -> StoredEvaluation:
        opened, ours = self._open, (operation_id, system)
        if opened is None or opened[0] != ours:
            models = self._measuring(order)
            opened = (ours, StoredEvaluation(self._store, operation_id, order=order, system=system, models=models))
            self._open = opened
        return opened[1]

    def _sum_up(self, operation_id: str) -> None:
        prefix = orders.evaluation_prefix(operation_id)
        plan = read_plan(self._store, prefix=prefix)
        totals = sum_up(EvaluationFolder(self._store, prefix))
        result = pb.EvaluateModelResult(
            totals=[_to_proto(total) for total in totals],
            protocol_id=plan.protocol_id,
            rows_key=f"{prefix}{ROWS}",
            drawings_prefix=f"{prefix}drawings/",
            model=ModelRef(name=plan.system.name, sha256=plan.system.sha256),
        )
        self._store.create(
            keys.operation_part(operation_id, orders.RESULT), result.SerializeToString(deterministic=True)
        )

    def _measuring(self, order: orders.EvaluationOrder) -> MeasuringModels:
        names = (order.dino, order.clip)
        if self._loaded is None or self._loaded[0] != names:
            dino = load_dino(self._place(order.dino), device=self._device)
            self._loaded = (names, MeasuringModels(dino, load_clip(self._place(order.clip), device=self._device)))
        return self._loaded[1]

    def _place(self, name: str) -> str:
        """A folder that is offered, or a published name where downloads are allowed."""
        try:
            return str(self._catalogue.folder(name))
        except ModelMissing:
            if self._rules.downloads:
                return name
            raise


class ShardBeyondEvaluation(PermanentError):
    """A ticket names a shard that its evaluation does not have."""

    reason = "SHARD_BEYOND_EVALUATION"


def _to_proto(total: Total) -> pb.EvaluationTotal:
    return pb.EvaluationTotal(
        system=total.system,
        metric=total.metric,
        condition=total.condition,
        mean=total.mean,
        low=total.low,
        high=total.high,
        n=total.n,
        subjects=total.subjects,
        missing=total.missing,
        reasons=total.reasons,
        short_of_references=total.short_of_references,
    )
