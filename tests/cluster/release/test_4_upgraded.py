"""An upgrade that rolls every pod, while somebody asks for pictures without a pause and a run is at work."""

import time

from tests.charts.rendering import COMPONENTS
from tests.cluster.release.installed import GENERATED, Release
from tests.cluster.release.runs import OneRun, ended, start_run
from tests.cluster.release.stream import asking_for_pictures


def test_no_request_fails_while_an_upgrade_rolls_every_pod_and_a_run_goes_on(
    release: Release, crawl: str, whole_run: OneRun, demonstrations: list[str]
) -> None:
    subject = release.suti("generation", "subject", "add", *demonstrations, "--caption", "a red disc").strip()
    held = [release.kube.secret(name) for name in GENERATED]
    before = {name: release.kube.names(name) for name in COMPONENTS}

    with asking_for_pictures(release, subject=subject, model=f"runs/{whole_run.run_id}") as stream:
        run_id = start_run(release, crawl)
        time.sleep(5)
        release.upgrade(telemetry__logLevel="DEBUG")
        run = ended(release, run_id)
        told = stream.counts()

    after = {name: release.kube.names(name) for name in COMPONENTS}
    assert all(after[name] and not after[name] & before[name] for name in COMPONENTS)
    assert [release.kube.secret(name) for name in GENERATED] == held  # passwords and tokens are kept
    assert told["failed"] == []
    assert told["drawn"] >= 10
    assert run["state"] == "RUN_STATE_SUCCEEDED", run["outcome"]
    assert run["outcome"]["dataset_digest"] == whole_run.digests[0]
