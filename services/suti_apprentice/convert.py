"""Between the API's messages and what the stages know."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from google.longrunning.operations_pb2 import Operation

from suti.api.apprentice.v1 import apprentice_pb2 as pb
from suti.api.types.v1.types_pb2 import ModelRef, OperationProgress
from suti.stages.checkpoints import FinishedApprentice

if TYPE_CHECKING:
    from suti_apprentice.trainings import Training

_MODEL = "model/"


def status_to_proto(training: "Training", before: "Training | None" = None) -> pb.TrainingStatus:
    """The training as it is told; its speed since `before`."""
    message = pb.TrainingStatus(
        run_id=training.run_id,
        state=pb.TrainingState.Value(f"TRAINING_STATE_{training.state.value}"),
        step=training.step,
        steps=training.steps,
        loss=training.loss,
        resumable_step=training.resumable_step,
        message=training.message,
    )
    if before is not None and training.step > before.step and training.at_s > before.at_s:
        steps_per_s = (training.step - before.step) / (training.at_s - before.at_s)
        message.targets_per_second = steps_per_s * training.targets_per_step
        message.time_left.FromTimedelta(timedelta(seconds=(training.steps - training.step) / steps_per_s))
    return message


def checkpoint_to_proto(one: FinishedApprentice) -> pb.Checkpoint:
    """A finished apprentice as it is told."""
    files = [part for part in one.commit.parts if part.name.startswith(_MODEL)]
    base = one.spec.models.base
    message = pb.Checkpoint(
        checkpoint_id=one.checkpoint_id,
        run_id=one.spec.run_id,
        step=one.commit.counts.get("steps", 0),
        model_name=f"runs/{one.spec.run_id}",
        size_bytes=sum(part.size_bytes for part in files),
        store_key=files[0].key.removesuffix(files[0].name.removeprefix(_MODEL)) if files else "",
        dataset_digest=one.commit.details.get("dataset_digest", ""),
        promoted=one.promoted,
        affected_by_tombstones=one.affected_by_tombstones,
        base=ModelRef(name=base.name, sha256=base.sha256),
    )
    message.create_time.FromDatetime(one.at)
    if one.promotion is not None:
        message.promote_time.FromDatetime(one.promotion.promoted_at)
        message.promoted_by = one.promotion.promoted_by
    return message


def result_to_proto(one: FinishedApprentice) -> pb.TrainingResult:
    """What a training came to."""
    counts: Mapping[str, int] = one.commit.counts
    return pb.TrainingResult(
        checkpoint=checkpoint_to_proto(one),
        examples=counts.get("items_in", 0) - counts.get("dropped", 0),
        final_loss=float(json.loads(one.commit.details.get("final_loss", "0"))),
    )


def operation_to_proto(name: str, training: "Training") -> Operation:
    """The training as an operation, without its end."""
    operation = Operation(name=name)
    operation.metadata.Pack(
        OperationProgress(doing=training.message or "training", done=training.step, total=training.steps, unit="steps")
    )
    return operation
