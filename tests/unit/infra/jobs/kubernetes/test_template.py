import json
from pathlib import Path

import pytest

from suti.infra.jobs.kubernetes.errors import BadJobTemplate
from suti.infra.jobs.kubernetes.template import Accelerator, JobTemplate, Owner


def test_names_are_those_of_manifests(tmp_path: Path) -> None:
    told = {
        "namespace": "suti",
        "image": "suti-experts:1",
        "nodeSelector": {"gpu": "yes"},
        "accelerator": {"resource": "nvidia.com/gpu"},
        "owner": {"name": "suti-experts"},
        "hangS": None,
    }
    (tmp_path / "template.json").write_text(json.dumps(told))

    template = JobTemplate.read(tmp_path / "template.json")

    assert template.node_selector == {"gpu": "yes"}
    assert template.accelerator == Accelerator(resource="nvidia.com/gpu", count=1)
    assert template.owner == Owner(api_version="apps/v1", kind="Deployment", name="suti-experts")
    assert template.hang_s is None


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ('{"namespace": "suti", "image": "a", "nodeSelektor": {}}', "nodeSelektor"),
        ('{"namespace": "Suti", "image": "a"}', "namespace"),
        ('{"namespace": "suti"}', "image"),
        ('{"namespace": "suti", "image": "a", "accelerator": {"resource": "gpu"}}', "accelerator.resource"),
        ("{", "the file"),
    ],
)
def test_what_is_wrong_in_a_template_is_named(tmp_path: Path, told: str, named: str) -> None:
    (tmp_path / "template.json").write_text(told)

    with pytest.raises(BadJobTemplate, match=named):
        JobTemplate.read(tmp_path / "template.json")


def test_a_template_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadJobTemplate, match="mount it"):
        JobTemplate.read(tmp_path / "none.json")
