"""An apprentice trained by two pods, either of which is deleted once: what one pod learns, from the same examples."""

from collections.abc import Callable

import pytest

from suti.core.records import LossRow, Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.infra.tables import from_parquet
from suti.stages.apprentice_steps import resumable_step
from tests.cluster.release.installed import Release, within
from tests.cluster.release.kube import Object
from tests.cluster.release.runs import OneRun, ended, open_bucket, replay

# Long enough to be disturbed twice between checkpoints.
STEPS = 60
CHANGES = (f"steps={STEPS}", "checkpoint_steps=4")


class Saboteur:
    """Deletes the second pod of the gang once there is a checkpoint, then the first once there is a later one."""

    def __init__(self, release: Release, bucket: Store, run_id: str) -> None:
        self._kube = release.kube
        self._bucket = bucket
        self._run_id = run_id
        self._left = [1, 0]
        self._after = 0
        self.steps: list[int] = []  # of the latest checkpoint, as it was seen
        self.job: Object = {}

    def __call__(self) -> None:
        self.steps.append(resumable_step(self._bucket, self._run_id))
        jobs = [job for job in self._kube.get("jobs") if self._run_id.lower() in job["metadata"]["name"]]
        if not jobs:
            return
        self.job = jobs[0]
        name = self.job["metadata"]["name"]
        if self._left and self.steps[-1] > self._after and self._delete(name, self._left[0]):
            self._left.pop(0)
            self._after = self.steps[-1] + 4  # the next one dies only after all have gone on

    def _delete(self, job: str, position: int) -> bool:
        """Whether there was one at work."""
        label = f"batch.kubernetes.io/job-name={job},batch.kubernetes.io/job-completion-index={position}"
        for pod in self._kube.get("pods", "-l", label):
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]:
                self._kube.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
                return True
        return False

    @property
    def done(self) -> bool:
        """Whether both were deleted."""
        return not self._left


@pytest.fixture(scope="module")
def alone(release: Release, whole_run: OneRun) -> tuple[Object, list[float]]:
    """What one pod comes to: the run's outcome, and the losses."""
    return _trained(release, whole_run, lambda _store, _run_id: lambda: None)


def test_two_pods_either_of_which_is_deleted_learn_what_one_learns(
    release: Release, whole_run: OneRun, alone: tuple[Object, list[float]]
) -> None:
    saboteurs: list[Saboteur] = []

    def saboteur(bucket: Store, run_id: str) -> Callable[[], None]:
        saboteurs.append(Saboteur(release, bucket, run_id))
        return saboteurs[0]

    release.upgrade(apprentice__gang__pods="2")
    try:
        # The launcher before may still take a ticket while it leaves, and knows of one pod alone.
        within(180, "the launcher before is gone", lambda: len(release.kube.pods("apprentice")) == 1)
        run, losses = _trained(release, whole_run, saboteur)
    finally:
        release.upgrade(apprentice__gang__pods="1")
    (seen,) = saboteurs

    assert seen.done, seen.steps
    assert (seen.job["spec"]["completions"], seen.job["spec"]["parallelism"]) == (2, 2)
    assert seen.job["spec"]["template"]["metadata"]["labels"]["suti.dev/gang"] == "true"  # by which its pods met
    under_way = seen.steps[: seen.steps.index(max(seen.steps)) + 1]  # a finished one has no checkpoint
    assert under_way == sorted(under_way)  # nobody began anew
    assert run["outcome"]["dataset_digest"] == alone[0]["outcome"]["dataset_digest"] == whole_run.digests[0]
    # Equal up to the rounding of sums in another order (docs/decisions/0011).
    assert losses == pytest.approx(alone[1], rel=1e-3)


def _trained(
    release: Release, whole_run: OneRun, meanwhile: Callable[[Store, str], Callable[[], None]]
) -> tuple[Object, list[float]]:
    """An apprentice of a run's candidates: how its run ended, and its losses."""
    with open_bucket(release, user="pipeline") as bucket:
        run_id = replay(release, whole_run.run_id, *CHANGES)
        run = ended(release, run_id, meanwhile=meanwhile(bucket, run_id))
        assert run["state"] == "RUN_STATE_SUCCEEDED", run["outcome"]
        ledger = Ledger(bucket, run_id)
        rows = from_parquet(ledger.read(ledger.get(Stage.APPRENTICE, 0).part("losses.parquet")), LossRow)
    return run, [row.loss for row in rows]
