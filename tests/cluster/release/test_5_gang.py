"""An apprentice trained by two pods, either of which is deleted once: what one pod learns, from the same examples."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from suti.core.errors import SutiError
from suti.core.records import LossRow, Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.infra.tables import from_parquet
from suti.stages.apprentice_steps import resumable_step
from tests.cluster.release.installed import Release, within
from tests.cluster.release.kube import Object, Refused
from tests.cluster.release.runs import OneRun, ended, open_bucket, replay

# Long enough to be disturbed twice between checkpoints.
STEPS = 60
CHANGES = (f"steps={STEPS}", "checkpoint_steps=4")
LOOK_S = 0.5  # a checkpoint comes every few seconds


class Saboteur:
    """Deletes the second pod of the gang once there is a checkpoint, then the first once there is a later one."""

    def __init__(self, release: Release, bucket: Store, run_id: str) -> None:
        self.run_id = run_id
        self._kube = release.kube
        self._bucket = bucket
        self._left = [1, 0]
        self._after = 0
        self._over = threading.Event()
        self.steps: list[int] = []  # of the latest checkpoint, as it was seen
        self.job: Object = {}

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Looks beside what is done meanwhile, which may take longer than the whole training."""
        thread = threading.Thread(target=self._look_on)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_S):
            with suppress(Refused, SutiError):  # asked again at the next look
                self._look()

    def _look(self) -> None:
        self.steps.append(resumable_step(self._bucket, self.run_id))
        if not self.job:
            jobs = self._kube.get("jobs")
            self.job = next((job for job in jobs if self.run_id.lower() in job["metadata"]["name"]), {})
        elif self._left and self.steps[-1] > self._after and self._delete(self.job["metadata"]["name"], self._left[0]):
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
    with open_bucket(release, user="pipeline") as bucket:
        return _trained(release, bucket, replay(release, whole_run.run_id, *CHANGES))


def test_two_pods_either_of_which_is_deleted_learn_what_one_learns(
    release: Release, whole_run: OneRun, alone: tuple[Object, list[float]]
) -> None:
    release.upgrade(apprentice__gang__pods="2")
    try:
        # The launcher before takes tickets for seconds after it was told to go (preStopSeconds), and knows of one pod.
        within(180, "the launcher before is gone", lambda: len(_launchers(release)) == 1)
        with open_bucket(release, user="pipeline") as bucket:
            seen = Saboteur(release, bucket, replay(release, whole_run.run_id, *CHANGES))
            with seen.at_work():
                run, losses = _trained(release, bucket, seen.run_id)
    finally:
        release.upgrade(apprentice__gang__pods="1")

    assert seen.done, seen.steps
    assert (seen.job["spec"]["completions"], seen.job["spec"]["parallelism"]) == (2, 2)
    assert seen.job["spec"]["template"]["metadata"]["labels"]["suti.dev/gang"] == "true"  # by which its pods met
    under_way = seen.steps[: seen.steps.index(max(seen.steps)) + 1]  # a finished one has no checkpoint
    assert under_way == sorted(under_way)  # nobody began anew
    assert run["outcome"]["dataset_digest"] == alone[0]["outcome"]["dataset_digest"] == whole_run.digests[0]
    # Equal up to the rounding of sums in another order (docs/decisions/0011).
    assert losses == pytest.approx(alone[1], rel=1e-3)


def _launchers(release: Release) -> list[Object]:
    """Those on their way out among them."""
    return release.kube.get("pods", "-l", "app.kubernetes.io/component=apprentice")


def _trained(release: Release, bucket: Store, run_id: str) -> tuple[Object, list[float]]:
    """The apprentice of a run that was started: how the run ended, and its losses."""
    run = ended(release, run_id)
    assert run["state"] == "RUN_STATE_SUCCEEDED", run["outcome"]
    ledger = Ledger(bucket, run_id)
    rows = from_parquet(ledger.read(ledger.get(Stage.APPRENTICE, 0).part("losses.parquet")), LossRow)
    return run, [row.loss for row in rows]
