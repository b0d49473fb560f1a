"""The README's section on Kubernetes, followed word by word: its commands are what runs."""

import os
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.charts.rendering import ROOT, helm
from tests.cluster.release.kube import Kube, Refused, kubectl_path

LIMIT_S = 3000.0


@pytest.fixture
def namespace(cluster: Kube) -> Generator[Kube]:
    """The one that the README names; gone afterwards."""
    kube = Kube(cluster.kubeconfig, "suti")
    try:
        kube.kubectl("get", "namespace", "suti")
    except Refused:
        pass
    else:
        pytest.skip("there is a namespace `suti`, which may be somebody's: delete it")
    yield kube
    kube.helm("uninstall", "suti", "--wait", "--timeout", "180s", "--ignore-not-found")
    kube.kubectl("delete", "namespace", "suti", "--ignore-not-found", "--wait=false")


def commands() -> str:
    """What the section's console blocks say to type."""
    section = (ROOT / "README.md").read_text().split("\n## On Kubernetes\n")[1].split("\n## ")[0]
    blocks: list[str] = re.findall(r"```console\n(.*?)```", section, re.S)
    assert blocks
    return "\n".join(blocks)


def test_who_follows_the_readme_has_a_run_that_is_accounted_for_and_a_picture(
    namespace: Kube, image_settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").symlink_to(helm())
    (tmp_path / "bin" / "kubectl").symlink_to(kubectl_path())
    for name in (".venv", "charts"):
        (tmp_path / name).symlink_to(ROOT / name)
    images = " ".join(f"--set {name}={value}" for name, value in image_settings.items())
    script = commands().replace("helm install suti charts/suti", f"helm install suti charts/suti {images}")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "KUBECONFIG": str(namespace.kubeconfig),
    }

    with (tmp_path / "said").open("wb") as said:  # no pipe: what it leaves in the background would hold that open
        process = subprocess.Popen(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        process.wait(LIMIT_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the port-forwards that it began
    told = (tmp_path / "said").read_text()

    assert process.returncode == 0, told[-5000:] + namespace.state()
    assert "sound: everything is accounted for" in told
    assert list((tmp_path / "out").glob("*.png"))
