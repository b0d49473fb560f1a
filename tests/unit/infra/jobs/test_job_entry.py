import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.waiting import appears

ENTRY = """
import atexit, os, sys, time
from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError
from suti.infra.jobs.entry import JobContext, run_job
from suti.infra.store import Store

class Preempted(RetryableError):
    reason = "PREEMPTED"
    exit_code = ExitCode.TERMINATED

def main(job: JobContext) -> None:
    match sys.argv[1]:
        case "done": job.progress(job.index, 7, "half")
        case "through the store":
            job.tell_through(Store.open(os.environ["STORE"]))
            job.progress(1, 2, "half")
            job.progress(2, 2, "half")
        case "data": raise PermanentError("this shard is broken: drop it")
        case "configuration": raise BadConfiguration("no model: set one")
        case "later": raise RetryableError("the store is away: try again")
        case "done, and aborted for a library's threads": atexit.register(os.abort)
        case "crash": raise RuntimeError("boom")
        case "wait":
            job.progress(0, 1)
            while not job.stopping(): time.sleep(0.01)
            raise Preempted("asked to stop: start again")

run_job(main, service="experts")
"""


async def start(case: str, folder: Path, **environment: str) -> asyncio.subprocess.Process:
    told = {
        "SUTI_JOB_NAME": "job",
        "SUTI_JOB_INDEX": "3",
        "SUTI_PROGRESS_FILE": str(folder / "progress.json"),
        "SUTI_TERMINATION_FILE": str(folder / "termination.json"),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENTRY, case, env={**os.environ, **told, **environment}, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.parametrize(
    ("case", "code", "reason"),
    [
        ("done", 0, None),
        ("data", 65, "INVALID"),
        ("configuration", 78, "BAD_CONFIGURATION"),
        ("later", 75, "TRY_AGAIN"),
        ("crash", 1, "UNEXPECTED"),
    ],
)
async def test_every_end_has_its_exit_code_and_leaves_word(
    tmp_path: Path, case: str, code: int, reason: str | None
) -> None:
    process = await start(case, tmp_path)
    _, logged = await process.communicate()

    assert process.returncode == code, logged.decode()
    if reason is None:
        assert json.loads((tmp_path / "progress.json").read_text()) == {"done": 3, "total": 7, "note": "half"}
    else:
        assert json.loads((tmp_path / "termination.json").read_text())["reason"] == reason
        assert reason in logged.decode() or "boom" in logged.decode()


async def test_sigterm_is_a_flag_and_stopping_for_it_ends_with_143(tmp_path: Path) -> None:
    process = await start("wait", tmp_path)
    await appears(tmp_path / "progress.json")
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert process.returncode == 143


async def test_a_process_that_no_launcher_started_says_so(tmp_path: Path) -> None:
    process = await start("done", tmp_path, SUTI_JOB_INDEX="")
    _, logged = await process.communicate()

    assert process.returncode == 78
    assert "NOT_A_JOB" in logged.decode()


async def test_what_a_library_does_while_python_ends_does_not_change_how_a_job_ended(tmp_path: Path) -> None:
    process = await start("done, and aborted for a library's threads", tmp_path)
    await process.communicate()

    assert process.returncode == 0


async def test_kubernetes_own_index_will_do(tmp_path: Path) -> None:
    process = await start("done", tmp_path, SUTI_JOB_INDEX="", JOB_COMPLETION_INDEX="5")
    await process.communicate()

    assert process.returncode == 0
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 5


async def test_an_index_that_is_no_completion_index_is_found_by_its_place(tmp_path: Path) -> None:
    told = {"SUTI_JOB_INDEX": "", "SUTI_JOB_INDEXES": "3-4,9", "JOB_COMPLETION_INDEX": "2"}
    process = await start("done", tmp_path, **told)
    await process.communicate()

    assert process.returncode == 0
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == 9


async def test_a_place_that_the_job_has_not_is_no_job(tmp_path: Path) -> None:
    process = await start("done", tmp_path, SUTI_JOB_INDEX="", SUTI_JOB_INDEXES="3", JOB_COMPLETION_INDEX="2")
    _, logged = await process.communicate()

    assert process.returncode == 78
    assert "NOT_A_JOB" in logged.decode()


async def test_where_there_is_no_shared_disk_progress_is_told_through_the_store(tmp_path: Path) -> None:
    told = {"SUTI_PROGRESS_FILE": "", "SUTI_PROGRESS_PREFIX": "jobs/suti-experts/job/"}
    process = await start("through the store", tmp_path, STORE=f"file://{tmp_path}/store", **told)
    _, logged = await process.communicate()

    assert process.returncode == 0, logged.decode()
    said = json.loads((tmp_path / "store/jobs/suti-experts/job/000003.json").read_text())
    assert (said["done"], said["total"], said["note"]) == (2, 2, "half")
