"""Runs through the release, and the same run on one machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suti.core import keys
from suti.infra.store import Store
from suti.local.demo.plan import DemoPlan, quick
from suti.local.folder import DataFolder
from suti.toyworld.crawls import draw_crawl
from tests.cluster.release.installed import NAME, Release
from tests.cluster.release.kube import Object, Refused

CRAWL = "s3://suti/crawls/trial.warc.gz"
PLAN = quick(DemoPlan())
RUN_S = 1800.0
LOOK_S = 4.0  # a look is a program of its own in the client's pod


@contextmanager
def open_bucket(release: Release, *, user: str) -> Generator[Store]:
    """The release's bucket as one of its users, through a port-forward."""
    with release.kube.forwarded(f"svc/{NAME}-minio", 9000) as port:
        held = release.kube.secret(f"{NAME}-store-users")
        yield Store.open(
            "s3://suti",
            endpoint=f"http://127.0.0.1:{port}",
            access_key=held[f"{user}-access-key"],
            secret_key=held[f"{user}-secret-key"],
            region="us-east-1",
            allow_http=True,
        )


def put_crawl(release: Release, folder: Path) -> str:
    """A drawn crawl is in the bucket, brought there by the user that may do just this; its URL."""
    path = folder / "trial.warc.gz"
    draw_crawl(path, truth_path=path.with_name("truth.json"), pages=PLAN.pages, seed=PLAN.seed, size_px=PLAN.crawl_px)
    with open_bucket(release, user="crawls") as bucket:
        bucket.put(CRAWL.removeprefix("s3://suti/"), path.read_bytes())
    return CRAWL


@dataclass(frozen=True)
class OneRun:
    """A run that has ended, and the jobs that were seen while it went on."""

    run_id: str
    run: Object
    spec_json: bytes
    jobs: Mapping[str, Object]

    @property
    def digests(self) -> tuple[str, str]:
        """Of the data set, and of the apprentice."""
        return self.run["outcome"]["dataset_digest"], self.run["outcome"]["apprentice_sha256"]

    def jobs_of(self, component: str) -> list[Object]:
        """Jobs of a component, which are some."""
        found = [
            job for job in self.jobs.values() if job["metadata"]["labels"]["app.kubernetes.io/component"] == component
        ]
        assert found, f"no job of {component} was seen: {list(self.jobs)}"
        return found


def done(release: Release, crawl: str, *, meanwhile: Callable[[str], object] = lambda _: None) -> OneRun:
    """A small run of the crawl, from its start to its end."""
    run_id, jobs = start_run(release, crawl), dict[str, Object]()

    def look() -> None:
        jobs.update((job["metadata"]["name"], job) for job in release.kube.get("jobs"))
        meanwhile(run_id)

    ended(release, run_id, meanwhile=look)
    return found_run(release, run_id, jobs)


def found_run(release: Release, run_id: str, jobs: Mapping[str, Object] | None = None) -> OneRun:
    """A run that has ended."""
    with open_bucket(release, user="pipeline") as bucket:
        return OneRun(run_id, run_as_it_is(release, run_id), bucket.get(keys.run_spec(run_id)), jobs or {})


def start_run(release: Release, crawl: str) -> str:
    """A small run of the crawl; its id."""
    told = [word for name, value in _flat(PLAN.changes) for word in ("--set", f"{name}={json.dumps(value)}")]
    return release.suti("pipeline", "run", "start", "--crawl", crawl, *told).strip()


def replay(release: Release, parent_run_id: str, *changes: str) -> str:
    """A child run, which judges the parent's candidates as before and trains an apprentice; its id."""
    told = [word for change in changes for word in ("--set", change)]
    return release.suti("pipeline", "run", "replay", parent_run_id, *told).strip()


def run_as_it_is(release: Release, run_id: str) -> Object:
    """What `suti run show --json` says."""
    return json.loads(release.suti("pipeline", "run", "show", run_id, "--json"))


def ended(release: Release, run_id: str, *, meanwhile: Callable[[], object] = lambda: None) -> Object:
    """The run once it has ended; `meanwhile` is called between two looks."""
    deadline, last = time.monotonic() + RUN_S, ""
    while time.monotonic() < deadline:
        meanwhile()
        try:
            run = run_as_it_is(release, run_id)
        except Refused as refused:  # nobody is there just now
            last = str(refused)[-1000:]
        else:
            if run["state"] not in {"RUN_STATE_RUNNING", "RUN_STATE_CANCELLING"}:
                return run
            last = run["state"]
        time.sleep(LOOK_S)
    why = release.suti("pipeline", "run", "why", run_id)
    raise AssertionError(f"run {run_id} has not ended after {RUN_S:.0f} s ({last}): {why}\n{release.kube.state()}")


def on_one_machine(run_json: bytes, folder: Path, *, environment: Mapping[str, str]) -> Object:
    """The outcome of the run that this run.json describes, done by `suti up` in a folder of its own."""
    data = DataFolder(folder)
    store = Store.open(data.store_url)
    run_id = json.loads(run_json)["run_id"]
    store.put(keys.run_spec(run_id), run_json)
    stages = ("pipeline", "clustering", "captioning", "experts", "filtering", "apprentice")
    only = [word for name in stages for word in ("--only", name)]
    command = [sys.executable, "-m", "suti.cli.main", "up", "--data", str(folder), "--slots", "1", *only]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + RUN_S
        while not store.exists(keys.run_outcome(run_id)):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, f"the run has not ended on one machine: see {folder}/logs"
            time.sleep(1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    return json.loads(store.get(keys.run_outcome(run_id)))


def _flat(changes: Mapping[str, object], path: str = "") -> Generator[tuple[str, object]]:
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
