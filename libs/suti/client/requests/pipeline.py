"""Calls to the pipeline service: runs, dead letters, provenance, evaluations."""

from collections.abc import Mapping, Sequence
from typing import Literal

from google.longrunning.operations_pb2 import Operation
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import Stage
from suti.client.calls import Long, Pages, Stream, Unary
from suti.client.endpoints import Service
from suti.client.inputs import checked_seed, overrides
from suti.core.errors import InvalidArgument
from suti.core.ids import new_request_id

ProvenanceStart = Literal["provenance_id", "checkpoint_id", "candidate_id", "cluster_id", "source_url"]


def create_run(order: pb.RunOrder, *, created_by: str = "", request_id: str = "") -> Unary[pb.Run]:
    """Freeze a run's description and start it (see `inputs.run_order`)."""
    request = pb.CreateRunRequest(request_id=request_id or new_request_id(), order=order, created_by=created_by)
    return _unary("CreateRun", request, pb.Run)


def get_run(run_id: str) -> Unary[pb.Run]:
    """The run as it stands."""
    return _unary("GetRun", pb.GetRunRequest(run_id=run_id), pb.Run)


def list_runs(
    *, state: "pb.RunState.ValueType" = pb.RunState.RUN_STATE_UNSPECIFIED, page_size: int = 0
) -> Pages[pb.ListRunsResponse, pb.Run]:
    """Runs, newest first; pages are fetched as they are needed."""
    request = pb.ListRunsRequest(state=state, page_size=page_size)
    return Pages(first=_unary("ListRuns", request, pb.ListRunsResponse), items=lambda page: page.runs)


def watch_run(run_id: str, *, interval_s: float = 1.0) -> Stream[pb.WatchRunResponse]:
    """The run now and after every change until it has ended; taken up again when the connection breaks."""
    interval = Duration()
    interval.FromNanoseconds(round(interval_s * 1e9))
    return Stream(
        service=Service.PIPELINE,
        method="WatchRun",
        request=pb.WatchRunRequest(run_id=run_id, interval=interval),
        answer=pb.WatchRunResponse,
        last=lambda answer: answer.run.HasField("outcome"),
    )


def cancel_run(run_id: str, *, reason: str = "", request_id: str = "") -> Unary[pb.Run]:
    """Ask a run to stop."""
    request = pb.CancelRunRequest(run_id=run_id, reason=reason, request_id=request_id or new_request_id())
    return _unary("CancelRun", request, pb.Run)


def explain_run(run_id: str) -> Unary[pb.ExplainRunResponse]:
    """Why the run is where it is."""
    return _unary("ExplainRun", pb.ExplainRunRequest(run_id=run_id), pb.ExplainRunResponse)


def audit_run(run_id: str) -> Unary[pb.AuditRunResponse]:
    """Count every item of the run."""
    return _unary("AuditRun", pb.AuditRunRequest(run_id=run_id), pb.AuditRunResponse, computes=True)


def plan_run(order: pb.RunOrder) -> Unary[pb.PlanRunResponse]:
    """What a run would take, before anything starts."""
    return _unary("PlanRun", pb.PlanRunRequest(order=order), pb.PlanRunResponse, computes=True)


def replay_filter(
    run_id: str,
    *,
    min_gain: float | None = None,
    max_copy_similarity: float | None = None,
    min_copy_difference: float | None = None,
    min_subject_similarity: float | None = None,
    apprentice: Mapping[str, object] | None = None,
    created_by: str = "",
    request_id: str = "",
) -> Unary[pb.Run]:
    """Judge a run's candidates anew under another policy, as a child run. What is None stays as the parent had it."""
    request = pb.ReplayFilterRequest(
        request_id=request_id or new_request_id(),
        run_id=run_id,
        min_gain=min_gain,
        max_copy_similarity=max_copy_similarity,
        min_copy_difference=min_copy_difference,
        min_subject_similarity=min_subject_similarity,
        apprentice_overrides=overrides(apprentice),
        created_by=created_by,
    )
    return _unary("ReplayFilter", request, pb.Run)


def get_provenance(
    start: ProvenanceStart, name: str, *, forward: bool = False, run_id: str = "", max_nodes: int = 0
) -> Unary[pb.GetProvenanceResponse]:
    """Where a thing came from or, `forward`, what became of it; e.g. `("source_url", "https://...")`."""
    direction = pb.Direction.DIRECTION_FORWARD if forward else pb.Direction.DIRECTION_BACK
    request = pb.GetProvenanceRequest(direction=direction, run_id=run_id, max_nodes=max_nodes)
    setattr(request, start, name)
    return _unary("GetProvenance", request, pb.GetProvenanceResponse, computes=True)


def list_dead_letters(
    *, run_id: str = "", stage: "Stage.ValueType" = Stage.STAGE_UNSPECIFIED, page_size: int = 0
) -> Pages[pb.ListDeadLettersResponse, pb.DeadLetter]:
    """Messages that could not be worked on, newest first; pages are fetched as they are needed."""
    request = pb.ListDeadLettersRequest(run_id=run_id, stage=stage, page_size=page_size)
    first = _unary("ListDeadLetters", request, pb.ListDeadLettersResponse)
    return Pages(first=first, items=lambda page: page.letters)


def replay_dead_letters(
    letter_ids: Sequence[str] = (), *, run_id: str = "", request_id: str = ""
) -> Unary[pb.ReplayDeadLettersResponse]:
    """Put dead letters back into their queues: these, or all of a run."""
    request = pb.ReplayDeadLettersRequest(
        request_id=request_id or new_request_id(), choice=_choice(letter_ids, run_id=run_id)
    )
    return _unary("ReplayDeadLetters", request, pb.ReplayDeadLettersResponse)


def drop_dead_letters(letter_ids: Sequence[str] = (), *, run_id: str = "") -> Unary[pb.DropDeadLettersResponse]:
    """Forget dead letters for good: these, or all of a run."""
    request = pb.DropDeadLettersRequest(choice=_choice(letter_ids, run_id=run_id))
    return _unary("DropDeadLetters", request, pb.DropDeadLettersResponse)


def create_tombstone(
    *,
    urls: Sequence[str] = (),
    picture_ids: Sequence[str] = (),
    why: str = "",
    created_by: str = "",
    request_id: str = "",
) -> Unary[pb.Tombstone]:
    """Take pages or pictures out of all that begins from now on."""
    request = pb.CreateTombstoneRequest(
        request_id=request_id or new_request_id(), urls=urls, picture_ids=picture_ids, why=why, created_by=created_by
    )
    return _unary("CreateTombstone", request, pb.Tombstone)


def list_tombstones(*, page_size: int = 0) -> Pages[pb.ListTombstonesResponse, pb.Tombstone]:
    """What was taken out, newest first; pages are fetched as they are needed."""
    first = _unary("ListTombstones", pb.ListTombstonesRequest(page_size=page_size), pb.ListTombstonesResponse)
    return Pages(first=first, items=lambda page: page.tombstones)


def delete_tombstone(tombstone_id: str) -> Unary[Empty]:
    """Take back a tombstone that was a mistake."""
    return _unary("DeleteTombstone", pb.DeleteTombstoneRequest(tombstone_id=tombstone_id), Empty)


def evaluate_model(
    subjects: Mapping[str, str],
    *,
    model: str = "",
    prompts: str = "",
    prompt_numbers: Sequence[int] = (),
    samples: int = 0,
    protocol: str = "",
    dino: str = "",
    clip: str = "",
    seed: int = 0,
    steps: int = 0,
    guidance: float | None = None,
    created_by: str = "",
    request_id: str = "",
) -> Long[pb.EvaluateModelResult]:
    """Draw registered subjects for a set of prompts and score the drawings; `subjects` are ids and class words.

    Zeros, empty texts and None leave it to the service and the model.
    """
    request = pb.EvaluateModelRequest(
        request_id=request_id or new_request_id(),
        model=model,
        subjects=[pb.EvaluatedSubject(subject_id=name, class_word=word) for name, word in subjects.items()],
        prompts=prompts,
        prompt_numbers=prompt_numbers,
        samples=samples,
        protocol=protocol,
        dino=dino,
        clip=clip,
        seed=checked_seed(seed),
        steps=steps,
        guidance=guidance,
        created_by=created_by,
    )
    return Long(start=_unary("EvaluateModel", request, Operation), result=pb.EvaluateModelResult)


def _choice(letter_ids: Sequence[str], *, run_id: str) -> pb.DeadLetterChoice:
    if not letter_ids and not run_id:
        raise InvalidArgument("letter_ids", "name letters, or a run to mean all of its letters")
    return pb.DeadLetterChoice(letter_ids=letter_ids, run_id=run_id)


def _unary[Answer: Message](
    method: str, request: Message, answer: type[Answer], *, computes: bool = False
) -> Unary[Answer]:
    return Unary(service=Service.PIPELINE, method=method, request=request, answer=answer, computes=computes)
