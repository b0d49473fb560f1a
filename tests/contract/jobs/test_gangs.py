"""An apprentice trained by several processes, over torchrun, with one of them killed: the losses of one alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from suti.core import keys
from suti.core.records import LossRow, Stage
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.port import GangSize, JobSpec, JobState
from suti.infra.ledger import Commit
from suti.infra.tables import from_parquet
from suti.ml.quality.recipe import FilterRecipe
from suti.stages import apprentice
from suti.stages.apprentice_steps import resumable_step
from tests.servers.nats import free_port
from tests.unit.stages.shards import Run
from tests.unit.stages.test_apprentice import judged_run
from tests.waiting import becomes

pytestmark = [pytest.mark.extended, pytest.mark.timeout(900)]

STEPS = 24  # long enough to be killed in the middle
LIMIT_S = 400.0
PROGRAM = (sys.executable, "-m", "suti_apprentice.job")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that is judged, whose apprentice is next."""
    found = judged_run(tmp_path, FilterRecipe(min_gain=-2.0, max_copy_similarity=1.0, min_copy_difference=0.0))
    recipe = found.spec.apprentice.model_copy(update={"steps": STEPS, "checkpoint_steps": 3, "learning_rate": 1e-4})
    found.spec = found.spec.model_copy(update={"apprentice": recipe})
    found.ledger.store.put(keys.run_spec(found.spec.run_id), found.spec.model_dump_json().encode())
    return found


@pytest.fixture
def told(run: Run, tmp_path: Path) -> Mapping[str, str]:
    """What the launcher tells the job."""
    return {
        "SUTI_RUN_ID": run.spec.run_id,
        "SUTI_APPRENTICE_STORE_URL": f"file://{tmp_path}/store",
        "SUTI_APPRENTICE_MODELS_PATH": str(tmp_path / "models"),
        "OMP_NUM_THREADS": "1",
    }


def losses(run: Run, commit: Commit) -> list[float]:
    return [row.loss for row in from_parquet(run.ledger.read(commit.part(apprentice.LOSSES)), LossRow)]


def by_one(run: Run) -> list[float]:
    """What one process comes to; afterwards nothing of it is left."""
    commit = apprentice.run_shard(run.ledger, run.spec, run.models)
    run.ledger.store.delete(keys.commit(run.spec.run_id, Stage.APPRENTICE, 0))
    return losses(run, commit)


def committed(run: Run) -> Commit | None:
    return run.ledger.find(Stage.APPRENTICE, 0)


def ranks_below(pid: int) -> list[psutil.Process]:
    """The processes that train."""
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if child.cmdline()[-1:] == ["suti_apprentice.job"] and _trains(child)]


def _trains(child: psutil.Process) -> bool:
    return "torch.distributed.run" not in child.cmdline() and "suti.infra.jobs.gang_entry" not in child.cmdline()


async def under_way(run: Run) -> None:
    """Returns once there is a checkpoint, and something left to do."""
    step: Callable[[], bool] = lambda: resumable_step(run.ledger.store, run.spec.run_id) >= 3  # noqa: E731
    await becomes(step, limit_s=LIMIT_S)
    assert committed(run) is None


async def test_two_processes_of_one_machine_train_one_apprentice_though_one_is_killed(
    run: Run, told: Mapping[str, str], tmp_path: Path
) -> None:
    alone = by_one(run)
    jobs = LocalJobs(tmp_path / "jobs", slots=1, grace_s=20.0, retry_s=0.1)
    spec = JobSpec("train", PROGRAM, (0,), environment=told, gang=GangSize(pods=1, processes=2))
    try:
        await jobs.start(spec)
        await under_way(run)
        shell = int(next((tmp_path / "jobs" / "train").glob("*/attempt-1.pid")).read_text())
        ranks_below(shell)[-1].kill()

        async def ended() -> bool:
            status = await jobs.status("train")
            return status is not None and status.state.ended

        await becomes(ended, limit_s=LIMIT_S)
        status = await jobs.status("train")
    finally:
        await jobs.close()

    assert status is not None
    assert (status.state, status.indexes[0].attempts) == (JobState.SUCCEEDED, 2), await jobs.logs("train", 0)
    commit = committed(run)
    assert commit is not None
    assert losses(run, commit) == pytest.approx(alone, rel=1e-3)


async def test_pods_that_lose_another_meet_it_again_and_go_on_from_the_checkpoint(
    run: Run, told: Mapping[str, str], tmp_path: Path
) -> None:
    alone, port = by_one(run), free_port()

    def pod(number: int) -> subprocess.Popen[bytes]:
        """What a pod of the gang runs; the log of all goes to one file."""
        command = (sys.executable, "-m", "suti.infra.jobs.gang_entry", "--pods=2", f"--meet-at=127.0.0.1:{port}")
        environment = {**os.environ, **told, "SUTI_JOB_INDEX": "0", "JOB_COMPLETION_INDEX": str(number)}
        with (tmp_path / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--processes=1", "--", "suti_apprentice.job"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    pods = [pod(0), pod(1)]
    try:
        await under_way(run)
        gone = psutil.Process(pods[1].pid)
        for process in [gone, *gone.children(recursive=True)]:  # as a node that goes down
            process.kill()
        assert pods[1].wait(10) == -signal.SIGKILL
        pods[1] = pod(1)  # as the Job controller does

        await becomes(lambda: all(one.poll() is not None for one in pods), limit_s=LIMIT_S)
    finally:
        for one in pods:
            if one.poll() is None:
                os.killpg(one.pid, signal.SIGKILL)

    assert [one.returncode for one in pods] == [0, 0], (tmp_path / "log").read_text()[-5000:]
    commit = committed(run)
    assert commit is not None
    assert losses(run, commit) == pytest.approx(alone, rel=1e-3)
