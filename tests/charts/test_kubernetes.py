"""What is rendered is what Kubernetes 1.31 to 1.34 accept, by their own OpenAPI; unknown fields are refused."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft7Validator

from suti.infra.jobs.kubernetes.gang import gang_manifest
from suti.infra.jobs.kubernetes.manifest import job_manifest
from suti.infra.jobs.kubernetes.template import JobTemplate
from suti.infra.jobs.port import GangSize, JobSpec
from tests.charts.rendering import CASES, ROOT, render

VERSIONS = ("1.31", "1.32", "1.33", "1.34")
# Of operators, not of Kubernetes: their own schemas are theirs to keep.
OTHERS = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "Certificate"}

Schema = dict[str, Any]


@functools.cache
def _folder() -> Path:
    script = ROOT / "scripts" / "kubernetes_schemas.py"
    found = subprocess.run([sys.executable, script, "--cached"], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(found.stderr.strip())
    return Path(found.stdout.strip())


@functools.cache
def _definitions(version: str) -> Schema:
    whole = cast("Schema", json.loads((_folder() / f"{version}.json").read_bytes()))
    for name, definition in whole["definitions"].items():
        if name.endswith("IntOrString"):
            definition["type"] = ["string", "integer"]
        elif name.endswith("resource.Quantity"):
            definition["type"] = ["string", "number"]
        elif "properties" in definition:
            definition.setdefault("additionalProperties", False)
    return whole


@functools.cache
def _validator(version: str, api: str, kind: str) -> Draft7Validator:
    group, _, number = api.rpartition("/")
    whole = _definitions(version)
    wanted = {"group": group, "version": number, "kind": kind}
    for name, definition in whole["definitions"].items():
        if wanted in definition.get("x-kubernetes-group-version-kind", []):
            return Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": whole["definitions"]})
    raise AssertionError(f"Kubernetes {version} has no {api} {kind}")


@functools.cache
def _faults(version: str, text: str) -> tuple[str, ...]:
    """What is wrong with a manifest. Many are the same in several cases, so each is looked at once."""
    manifest = json.loads(text)
    validator = _validator(version, manifest["apiVersion"], manifest["kind"])
    return tuple(f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest))


def _check(version: str, manifest: Schema) -> None:
    faults = _faults(version, json.dumps(manifest, sort_keys=True))
    assert not faults, f"{manifest['kind']} {manifest['metadata']['name']}: {faults}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_every_manifest_is_valid(case: str, version: str) -> None:
    for manifest in render(case):
        if manifest["kind"] not in OTHERS:
            _check(version, manifest)


@pytest.mark.parametrize("version", VERSIONS)
def test_jobs_of_the_launchers_are_valid(version: str) -> None:
    spec = JobSpec(name="suti-experts-run-0", command=("python", "-m", "suti_experts.job"), indexes=tuple(range(5)))
    for case in ("minimal", "full", "gpu", "tpu"):
        for launcher, told in render(case).job_templates().items():
            template = JobTemplate.model_validate(told)
            _check(version, job_manifest(spec, template, launcher=f"suti-{launcher}", progress_prefix="jobs/x/"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_gangs_job_is_valid(version: str) -> None:
    gang = GangSize(pods=4, processes=8)
    spec = JobSpec("suti-apprentice-run-w0", ("python", "-m", "suti_apprentice.job"), (0,), gang=gang)
    template = JobTemplate.model_validate(render("gang").job_templates()["apprentice"])
    job = gang_manifest(spec, gang, template, launcher="suti-apprentice", progress_prefix="jobs/x/")

    _check(version, job)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_misspelt_field_would_be_found(version: str) -> None:
    manifest = json.loads(json.dumps(render("minimal").of("Deployment")["pipeline"]))
    manifest["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}

    assert _faults(version, json.dumps(manifest))


def test_only_known_kinds_are_left_unchecked() -> None:
    kinds = {one["kind"] for case in CASES for one in render(case)}

    assert {kind for kind in kinds if kind in OTHERS} == OTHERS
    assert not kinds & {"CustomResourceDefinition", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
