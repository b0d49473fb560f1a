"""The apprentice service's API, as a process with real jobs: start, watch, stop and go on; list and promote."""

from collections.abc import Generator
from pathlib import Path

import pytest

from suti.api.apprentice.v1 import apprentice_pb2 as pb
from suti.client.blocking import Suti
from suti.client.endpoints import Service
from suti.client.errors import RemoteError
from suti.core import keys
from suti.core.ids import new_request_id
from suti.ml.quality.recipe import FilterRecipe
from tests.system.workers_stack import ENDS_S, Stack, running
from tests.unit.stages.shards import Run, open_run
from tests.unit.stages.test_apprentice import judged_run

pytestmark = [pytest.mark.extended, pytest.mark.timeout(1200)]

STEPS = 120
EVERYTHING = FilterRecipe(min_gain=-2.0, max_copy_similarity=1.0, min_copy_difference=0.0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Generator[Stack]:
    with running(tmp_path_factory.mktemp("training"), services=(Service.APPRENTICE,)) as stack:
        yield stack


@pytest.fixture
def suti(stack: Stack) -> Generator[Suti]:
    with stack.client() as suti:
        yield suti


def judged(folder: Path, *, steps: int) -> str:
    """A run that has everything but its apprentice."""
    run = judged_run(folder, EVERYTHING)
    recipe = run.spec.apprentice.model_copy(update={"steps": steps, "checkpoint_steps": 5})
    return announced(run, apprentice=recipe)


def announced(run: Run, **changes: object) -> str:
    spec = run.spec.model_copy(update=changes)
    run.ledger.store.put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())
    return spec.run_id


def test_a_training_is_watched_stopped_taken_up_again_and_promoted(stack: Stack, suti: Suti) -> None:
    run_id, request_id = judged(stack.folder, steps=STEPS), new_request_id()

    begun = suti.start_training(run_id, request_id=request_id)
    seen: list[pb.TrainingStatus] = []
    for status in suti.watch_training(run_id, interval_s=0.1):
        seen.append(status)
        if status.resumable_step >= 5:
            break
    suti.stop_training(run_id)
    *_, stopped = suti.watch_training(run_id, interval_s=0.1)
    with pytest.raises(RemoteError, match="StartTraining lets it go on"):
        begun.wait(timeout_s=60)

    assert {status.steps for status in seen} == {STEPS}
    assert stopped.state == pb.TRAINING_STATE_STOPPED
    assert 5 <= stopped.resumable_step < STEPS

    # The same request again is the answer as it stands; only a new one lets the training go on.
    again = suti.start_training(run_id, request_id=request_id)
    assert again.name == begun.name
    assert suti.stop_training(run_id).state == pb.TRAINING_STATE_STOPPED
    result = suti.start_training(run_id).wait(timeout_s=ENDS_S)
    *_, done = suti.watch_training(run_id, interval_s=0.1)

    assert (done.state, done.step) == (pb.TRAINING_STATE_SUCCEEDED, STEPS)
    assert result.checkpoint.step == STEPS
    assert result.examples == 3

    promotes_it(suti, result.checkpoint)


def promotes_it(suti: Suti, checkpoint: pb.Checkpoint) -> None:
    request_id = new_request_id()
    assert not checkpoint.promoted

    promoted = suti.promote_checkpoint(checkpoint.checkpoint_id, created_by="a test", request_id=request_id)
    again = suti.promote_checkpoint(checkpoint.checkpoint_id, created_by="a test", request_id=request_id)
    with pytest.raises(RemoteError) as reused:
        suti.promote_checkpoint("0" * 64, request_id=request_id)
    with pytest.raises(RemoteError) as unknown:
        suti.promote_checkpoint("0" * 64)
    (listed,) = suti.list_checkpoints(run_id=checkpoint.run_id)

    assert promoted == again == listed
    assert (promoted.promoted, promoted.promoted_by) == (True, "a test")
    assert reused.value.reason == "REQUEST_ID_REUSED"
    assert unknown.value.reason == "NOT_FOUND"


def test_a_training_waits_for_all_candidates_to_be_judged(stack: Stack, suti: Suti) -> None:
    run_id = announced(open_run(stack.folder))

    with pytest.raises(RemoteError) as early:
        suti.start_training(run_id)
    with pytest.raises(RemoteError) as no_run:
        suti.stop_training("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(RemoteError) as no_operation:
        suti.pending(Service.APPRENTICE, "operations/training-nobody", pb.TrainingResult)

    assert early.value.reason == "EXAMPLES_NOT_READY"
    assert no_run.value.reason == "OBJECT_MISSING"
    assert no_operation.value.reason == "NO_OPERATION"
    assert list(suti.list_checkpoints(run_id=run_id)) == []
