"""Calls to the apprentice service: training and checkpoints."""

from google.longrunning.operations_pb2 import Operation
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from suti.api.apprentice.v1 import apprentice_pb2 as pb
from suti.client.calls import Long, Pages, Stream, Unary
from suti.client.endpoints import Service
from suti.core.ids import new_request_id

_ENDED = {
    pb.TrainingState.TRAINING_STATE_STOPPED,
    pb.TrainingState.TRAINING_STATE_SUCCEEDED,
    pb.TrainingState.TRAINING_STATE_FAILED,
}


def start_training(run_id: str, *, request_id: str = "") -> Long[pb.TrainingResult]:
    """Train a run's apprentice, or go on where an earlier training stopped."""
    request = pb.StartTrainingRequest(request_id=request_id or new_request_id(), run_id=run_id)
    return Long(start=_unary("StartTraining", request, Operation), result=pb.TrainingResult)


def watch_training(run_id: str, *, interval_s: float = 1.0) -> Stream[pb.TrainingStatus]:
    """The training now and as it goes on, until it has ended; taken up again when the connection breaks."""
    interval = Duration()
    interval.FromNanoseconds(round(interval_s * 1e9))
    return Stream(
        service=Service.APPRENTICE,
        method="WatchTraining",
        request=pb.WatchTrainingRequest(run_id=run_id, interval=interval),
        answer=pb.TrainingStatus,
        last=lambda status: status.state in _ENDED,
    )


def stop_training(run_id: str) -> Unary[pb.TrainingStatus]:
    """Stop a training with a checkpoint to go on from."""
    return _unary("StopTraining", pb.StopTrainingRequest(run_id=run_id), pb.TrainingStatus)


def list_checkpoints(*, run_id: str = "", page_size: int = 0) -> Pages[pb.ListCheckpointsResponse, pb.Checkpoint]:
    """Finished apprentices, newest first; pages are fetched as they are needed."""
    request = pb.ListCheckpointsRequest(run_id=run_id, page_size=page_size)
    first = _unary("ListCheckpoints", request, pb.ListCheckpointsResponse)
    return Pages(first=first, items=lambda page: page.checkpoints)


def promote_checkpoint(checkpoint_id: str, *, created_by: str = "", request_id: str = "") -> Unary[pb.Checkpoint]:
    """Make a checkpoint the apprentice that is used when a request names no model."""
    request = pb.PromoteCheckpointRequest(
        request_id=request_id or new_request_id(), checkpoint_id=checkpoint_id, created_by=created_by
    )
    return _unary("PromoteCheckpoint", request, pb.Checkpoint)


def _unary[Answer: Message](method: str, request: Message, answer: type[Answer]) -> Unary[Answer]:
    return Unary(service=Service.APPRENTICE, method=method, request=request, answer=answer)
