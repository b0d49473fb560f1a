import json
import subprocess
import sys
from pathlib import Path

import pytest

from suti.infra.jobs.kubernetes.errors import BadJobTemplate, KubernetesUnreachable
from suti.infra.jobs.local import LocalJobs
from suti.infra.jobs.settings import LauncherSettings, NoJobTemplate
from suti.infra.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}/store")


def test_jobs_run_on_this_machine_unless_told_otherwise(tmp_path: Path, store: Store) -> None:
    settings = LauncherSettings(jobs_folder=tmp_path / "jobs")

    assert isinstance(settings.open_jobs(store, launcher="suti-experts"), LocalJobs)
    assert settings.job_python == sys.executable


def test_what_is_missing_for_a_cluster_is_said(tmp_path: Path, store: Store) -> None:
    template = tmp_path / "template.json"
    with pytest.raises(NoJobTemplate, match="job_template"):
        LauncherSettings(jobs_backend="kubernetes").open_jobs(store, launcher="suti-experts")
    with pytest.raises(BadJobTemplate, match="cannot read"):
        LauncherSettings(jobs_backend="kubernetes", job_template=template).open_jobs(store, launcher="suti-experts")
    template.write_text(json.dumps({"namespace": "suti", "image": "suti-experts:1"}))
    for kubeconfig in (None, tmp_path / "none"):
        settings = LauncherSettings(jobs_backend="kubernetes", job_template=template, kubeconfig=kubeconfig)
        with pytest.raises(KubernetesUnreachable, match="kubeconfig"):
            settings.open_jobs(store, launcher="suti-experts")
        assert settings.job_python == "python"


def test_who_launches_local_jobs_loads_no_kubernetes_client() -> None:
    code = "import sys, suti_experts.wiring, suti_apprentice.wiring; print('kubernetes' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert told.stdout == "False\n"
