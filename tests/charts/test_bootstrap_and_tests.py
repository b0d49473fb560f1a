"""Pods of no service, the bootstrap's and those of `helm test`: placed, labelled and allowed as services are."""

import base64
import json
from typing import Any

import pytest

from tests.charts.rendering import Manifest, Rendered, refusal, render

TESTS = ("test-generate", "test-nats", "test-store")
KINDS = ("bootstrap", *TESTS)
TAINT = {"key": "dedicated", "operator": "Equal", "value": "suti", "effect": "NoSchedule"}
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}


def _pod(rendered: Rendered, which: str) -> Manifest:
    """Metadata and spec; the Job of the bootstrap has a name that changes."""
    if which == "bootstrap":
        (job,) = rendered.of("Job").values()
        return job["spec"]["template"]
    return rendered.of("Pod")[which]


def _environment(pod: Manifest) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("which", KINDS)
def test_where_every_node_is_tainted_they_run_where_the_services_do(which: str) -> None:
    rendered = render(
        "minimal",
        'defaults.nodeSelector={"pool":"suti"}',
        f"defaults.tolerations={json.dumps([TAINT])}",
        f"defaults.affinity={json.dumps(AFFINITY)}",
        "defaults.priorityClassName=high",
    )
    spec = _pod(rendered, which)["spec"]

    assert spec["nodeSelector"] == {"pool": "suti"}
    assert spec["tolerations"] == [TAINT]
    assert spec["affinity"] == AFFINITY
    assert spec["priorityClassName"] == "high"


@pytest.mark.parametrize("which", KINDS)
def test_they_ask_for_no_accelerator_and_no_node_that_has_one(which: str) -> None:
    spec = _pod(render("minimal", "defaults.accelerator=gpu", "defaults.runtimeClassName=nvidia"), which)["spec"]

    assert (
        not {"nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "runtimeClassName"} & spec.keys()
    )


@pytest.mark.parametrize("which", KINDS)
def test_they_have_the_labels_annotations_and_environment_that_all_pods_have(which: str) -> None:
    pod = _pod(
        render("full", "defaults.env=" + json.dumps([{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}])), which
    )

    assert pod["metadata"]["labels"]["team"] == "research"
    assert pod["metadata"]["annotations"]["example.org/owner"] == "research"
    assert _environment(pod)["HTTPS_PROXY"] == "http://proxy:3128"
    assert pod["spec"]["containers"][0]["envFrom"] == [{"configMapRef": {"name": "more"}}]
    assert {"name": "more", "mountPath": "/more"} in pod["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in pod["spec"]["volumes"]
    assert pod["spec"]["dnsPolicy"] == "ClusterFirst"


def test_hooks_of_helm_test_stay_hooks_whatever_annotations_are_given() -> None:
    for name in TESTS:
        assert render("full").of("Pod")[name]["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_the_probe_enters_the_store_by_the_service_account_where_that_is_how_all_do() -> None:
    rendered = render("restricted")
    account = rendered.of("Pod")["test-store"]["spec"]["serviceAccountName"]

    assert account == "demo-suti-probe"
    role = rendered.of("ServiceAccount")["probe"]["metadata"]["annotations"]
    assert role["eks.amazonaws.com/role-arn"].endswith(":role/suti")


def test_the_probe_uses_the_service_account_that_all_are_to_use() -> None:
    rendered = render("minimal", "defaults.serviceAccountName=mine")

    assert {rendered.of("Pod")[name]["spec"]["serviceAccountName"] for name in TESTS} == {"mine"}
    assert "probe" not in rendered.of("ServiceAccount")


def test_no_pod_of_helm_test_has_a_token_of_kubernetes() -> None:
    rendered = render("minimal")

    assert rendered.of("ServiceAccount")["probe"]["automountServiceAccountToken"] is False
    for name in TESTS:
        assert rendered.of("Pod")[name]["spec"]["automountServiceAccountToken"] is False


def test_users_and_policies_of_a_release_on_a_shared_server_have_a_prefix_of_its_own() -> None:
    def told(*settings: str) -> tuple[str, Any]:
        rendered = render("minimal", *settings)
        key = base64.b64decode(rendered.of("Secret")["store-users"]["data"]["experts-access-key"]).decode()
        return key, _environment(_pod(rendered, "bootstrap"))["SUTI_BOOTSTRAP_STORE_USER_PREFIX"]

    assert told() == ("suti-experts", "suti")
    assert told("store.userPrefix=research") == ("research-experts", "research")
    assert "userPrefix" in refusal("minimal", "store.userPrefix=a/b")
