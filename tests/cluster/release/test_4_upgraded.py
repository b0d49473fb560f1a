"""An upgrade that rolls every pod, while somebody asks for pictures without a pause and a run is at work."""

import json
import textwrap
import time
from collections.abc import Generator

import pytest

from tests.charts.rendering import COMPONENTS
from tests.cluster.release.installed import NAME, Release, within
from tests.cluster.release.runs import OneRun, ended, start_run

# Asks for one picture after the other until it is told to stop, and keeps count in a file.
STREAM = textwrap.dedent("""
    import json, os, sys, time
    from pathlib import Path
    from suti.cli.connection import options_from
    from suti.client import Suti
    from suti.client.requests.generation import generate_request

    subject, model = sys.argv[1:]
    counts, stop = Path("/tmp/stream.json"), Path("/tmp/stop")
    told = {"asked": 0, "drawn": 0, "failed": []}
    with Suti("suti-generation:50051", options=options_from(os.environ)) as suti:
        while not stop.exists():
            told["asked"] += 1
            try:
                answer = suti.generate(generate_request("a red disc", subject_id=subject, model=model, steps=2))
                told["drawn"] += len(answer.pictures) == 1
            except Exception as error:
                told["failed"].append(f"{type(error).__name__}: {error}"[:500])
            counts.with_suffix(".new").write_text(json.dumps(told))
            counts.with_suffix(".new").replace(counts)
            time.sleep(0.2)
    stop.unlink()
""")


class Stream:
    """Requests that go on until `stop`."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def counts(self) -> dict[str, int]:
        """How many were asked, drawn, and the errors of those that failed."""
        return json.loads(self._release.read_in_client("/tmp/stream.json"))  # noqa: S108 - the pod's own


@pytest.fixture
def stream(release: Release, whole_run: OneRun, demonstrations: list[str]) -> Generator[Stream]:
    subject = release.suti("generation", "subject", "add", *demonstrations, "--caption", "a red disc").strip()
    release.write_in_client("/tmp/stream.py", STREAM.encode())  # noqa: S108
    program = f"cd /tmp; nohup python stream.py {subject} runs/{whole_run.run_id} > stream.log 2>&1 &"
    release.kube.kubectl("exec", "client", "--", "/bin/sh", "-c", program)
    going = Stream(release)
    within(120, "pictures are drawn", lambda: going.counts()["drawn"] >= 3)
    yield going
    release.kube.kubectl("exec", "client", "--", "/bin/sh", "-c", "touch /tmp/stop")


def test_no_request_fails_while_an_upgrade_rolls_every_pod_and_a_run_goes_on(
    release: Release, crawl: str, whole_run: OneRun, stream: Stream
) -> None:
    secrets = [f"{NAME}-{name}" for name in ("tokens", "store-users", "nats-users", "minio-root")]
    held = [release.kube.secret(name) for name in secrets]
    before = {name: {pod["metadata"]["name"] for pod in release.kube.pods(name)} for name in COMPONENTS}
    run_id = start_run(release, crawl)
    time.sleep(5)

    release.upgrade(telemetry__logLevel="DEBUG")
    run = ended(release, run_id)
    told = stream.counts()

    after = {name: {pod["metadata"]["name"] for pod in release.kube.pods(name)} for name in COMPONENTS}
    assert all(after[name] and not after[name] & before[name] for name in COMPONENTS)
    assert [release.kube.secret(name) for name in secrets] == held  # passwords and tokens are kept
    assert told["failed"] == []
    assert told["drawn"] >= 10
    assert run["state"] == "RUN_STATE_SUCCEEDED", run["outcome"]
    assert run["outcome"]["dataset_digest"] == whole_run.digests[0]
