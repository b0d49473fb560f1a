"""The chart and the images of an earlier commit, upgraded to these while a run and a stream of requests go on.

`SUTI_EARLIER` is that commit and the tag of its images, which `scripts/earlier_images.sh COMMIT` builds; where those of
the first commit whose release did all that these tests want (the CHANGELOG names it) are built, scripts/test_cluster.sh
takes that.
"""

import json
import os
import subprocess
import tarfile
from collections.abc import Generator
from io import BytesIO
from pathlib import Path

import pytest

from tests.charts.rendering import CHART, COMPONENTS, ROOT
from tests.cluster.release import own_models
from tests.cluster.release.conftest import disc_pictures, images_of, new_namespace
from tests.cluster.release.installed import GENERATED, NAME, Release, within
from tests.cluster.release.kube import Refused
from tests.cluster.release.runs import ended, put_crawl, start_run
from tests.cluster.release.stream import asking_for_pictures

FIRST = "943e53f"
# Its own pods refused a call that they had in hand at SIGTERM and that had not come to the queue yet. This release's do
# not, and test_4_upgraded.py forgives nothing.
EARLIER_FAULT = "this process is just stopping"


@pytest.fixture
def earlier_chart(tmp_path: Path) -> Path:
    """The chart as it was."""
    commit = earlier_commit()
    command = ["git", "archive", "--format=tar", commit, "charts/suti"]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert packed.returncode == 0, f"{packed.stderr.decode()}: fetch the whole history"
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "charts" / "suti"


@pytest.fixture
def earlier(kubeconfig: Path, earlier_chart: Path, tmp_path: Path) -> Generator[Release]:
    """That chart with its images, in a namespace of its own; gone afterwards.

    Models lie in a volume, and stay what the run began with: the toy models in the images are others by now.
    """
    with new_namespace(kubeconfig) as kube:
        registry = os.environ.get("SUTI_IMAGE_REGISTRY") or "localhost"
        images = images_of(kube, registry, earlier_commit())
        release = Release(kube, images | own_models.SETTINGS, tmp_path, chart=earlier_chart)
        try:
            own_models.keep_models_of(release.image("models"), kube)
            release.install()
            release.start_client()
        except (Refused, AssertionError) as refused:
            raise AssertionError(f"{refused}\n{kube.state()}") from refused
        yield release


def test_an_earlier_release_becomes_this_one_and_nobody_who_uses_it_notices(
    earlier: Release, image_settings: dict[str, str], tmp_path: Path
) -> None:
    release = earlier
    subject = release.suti("generation", "subject", "add", *disc_pictures(release), "--caption", "a red disc").strip()
    held = [release.kube.secret(name) for name in GENERATED]
    before = {name: release.kube.names(name) for name in COMPONENTS}

    with asking_for_pictures(release, subject=subject, model="warmstart") as stream:
        run_id = start_run(release, put_crawl(release, tmp_path))
        within(600, "experts are at work", lambda: release.kube.pods("experts-job"))
        release.upgrade_to(CHART, image_settings)
        run = ended(release, run_id)
        told = stream.counts()
    audit = json.loads(release.suti("pipeline", "run", "audit", run_id, "--json"))  # by the client as it was

    after = {name: release.kube.names(name) for name in COMPONENTS}
    assert all(after[name] and not after[name] & before[name] for name in COMPONENTS)
    assert [release.kube.secret(name) for name in GENERATED] == held
    assert [one for one in told["failed"] if EARLIER_FAULT not in one] == []
    assert told["drawn"] >= 10
    assert run["state"] == "RUN_STATE_SUCCEEDED", run["outcome"]
    assert audit["sound"]
    assert audit["complete"]
    assert "Succeeded" in release.kube.helm("test", NAME, "--timeout", "300s")


def earlier_commit() -> str:
    """The commit to begin with; skips where there is none."""
    found = os.environ.get("SUTI_EARLIER")
    if not found:
        pytest.skip(
            f"there are no images of {FIRST}: `scripts/earlier_images.sh {FIRST}` builds them, and test_cluster.sh"
            " then finds them; where a registry has some, set SUTI_EARLIER"
        )
    return found
