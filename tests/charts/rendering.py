"""Manifests as Helm renders them, rendered once per set of values."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "suti"
CASES = tuple(sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml")))
COMPONENTS = (
    "pipeline",
    "clustering",
    "selection",
    "captioning",
    "experts",
    "filtering",
    "apprentice",
    "generation",
)
LAUNCHERS = ("apprentice", "experts")
RELEASE, NAMESPACE = "demo", "trial"
PREFIX = f"{RELEASE}-suti-"

Manifest = dict[str, Any]


class Rendered(list[Manifest]):
    """The manifests of one release."""

    def of(self, kind: str) -> dict[str, Manifest]:
        """Those of a kind, by their name without the release's."""
        return {
            manifest["metadata"]["name"].removeprefix(PREFIX): manifest for manifest in self if manifest["kind"] == kind
        }

    def pods(self) -> dict[str, Manifest]:
        """Pod templates (with metadata and spec) by who they belong to, those of launched jobs not among them."""
        found = dict(self.of("Pod").items())
        for kind in ("Deployment", "StatefulSet", "Job"):
            found |= {name: owner["spec"]["template"] for name, owner in self.of(kind).items()}
        return found

    def job_templates(self) -> dict[str, Manifest]:
        """What the launchers are told of their pods."""
        return {
            name.removesuffix("-job-template"): json.loads(one["data"]["template.json"])
            for name, one in self.of("ConfigMap").items()
            if name.endswith("-job-template")
        }


def helm() -> str:
    """The Helm to test with; skips where there is none."""
    found = subprocess.run(
        [ROOT / "scripts" / "build_helm.sh", "--cached"], capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        pytest.skip("no Helm: install it, run scripts/build_helm.sh (needs Go), or set SUTI_HELM")
    return found.stdout.strip()


def template(
    case: str, settings: tuple[str, ...], *, kubernetes: str = "1.34.0", cluster: str = ""
) -> "subprocess.CompletedProcess[str]":
    """`helm template` with the values of ci/CASE-values.yaml and `--set` for each of `settings`.

    `cluster` is the address of an API server, which is then asked for what it has, as `helm install` does.
    """
    command = [helm(), "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", kubernetes]
    command += ["--values", str(CHART / "ci" / f"{case}-values.yaml")]
    for setting in settings:
        command += ["--set-json" if "={" in setting or "=[" in setting else "--set", setting]
    if cluster:
        command += ["--dry-run=server", "--kube-apiserver", cluster]
    environment = os.environ | {"KUBECONFIG": os.devnull}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@cache
def render(case: str = "minimal", *settings: str) -> Rendered:
    """The manifests. Do not change them: others are given the same."""
    return manifests(template(case, settings))


def manifests(answer: "subprocess.CompletedProcess[str]") -> Rendered:
    """What Helm rendered."""
    assert answer.returncode == 0, answer.stderr
    documents = cast("list[Manifest | None]", list(yaml.load_all(answer.stdout, Loader=yaml.CSafeLoader)))
    return Rendered(document for document in documents if document)


def refusal(case: str, *settings: str, kubernetes: str = "1.34.0") -> str:
    """What Helm says when it will not render."""
    answer = template(case, settings, kubernetes=kubernetes)
    assert answer.returncode != 0, "it was rendered"
    return answer.stderr


def table(heading: str, page: Path = ROOT / "docs" / "security.md") -> list[list[str]]:
    """The rows of the table below a heading of a page, cells stripped."""
    section = page.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]
