"""Switches of the values besides those of test_toggles.py: what is left out, renamed, searched, told and labelled."""

from typing import Any

import pytest

from tests.charts.rendering import COMPONENTS, LAUNCHERS, Rendered, render

EXTERNAL_STORE = ("bootstrap.adminSecret=admin", "bootstrap.bucket=true")


def _container(rendered: Rendered, name: str) -> dict[str, Any]:
    return rendered.of("Deployment")[name]["spec"]["template"]["spec"]["containers"][0]


def _told(rendered: Rendered, name: str, setting: str) -> str | None:
    found = [one["value"] for one in _container(rendered, name)["env"] if one["name"].endswith(f"_{setting}")]
    return found[0] if found else None


def test_disruption_budgets_can_be_left_out_for_all_and_for_one() -> None:
    assert render("minimal", "defaults.pdb.enabled=false").of("PodDisruptionBudget") == {}
    one = render("minimal", "generation.pdb.enabled=false").of("PodDisruptionBudget")
    assert set(one) == set(COMPONENTS) - {"generation"}
    assert one["pipeline"]["spec"]["maxUnavailable"] == 1


def test_a_full_name_is_the_first_part_of_every_name_and_of_every_address() -> None:
    rendered = render("minimal", "fullnameOverride=drawing")

    assert [one["metadata"]["name"] for one in rendered if not one["metadata"]["name"].startswith("drawing-")] == []
    pipeline = next(
        one for one in rendered if one["metadata"]["name"] == "drawing-pipeline" and one["kind"] == "Deployment"
    )
    told = {one["name"]: one.get("value") for one in pipeline["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert told["SUTI_PIPELINE_NATS_URL"] == "nats://drawing-nats:4222"
    assert told["SUTI_PIPELINE_STORE_ENDPOINT"] == "http://drawing-minio:9000"


def test_without_the_bootstrap_there_is_no_job_no_account_and_no_policy_for_it() -> None:
    settings = ("nats.embedded.enabled=true", "nats.url=", "nats.existingSecret=", "nats.caSecret=")
    on, off = render("external", *settings), render("external", *settings, "bootstrap.enabled=false")

    for kind in ("Job", "ServiceAccount", "NetworkPolicy"):
        assert any(name.startswith("bootstrap") for name in on.of(kind)), kind
        assert not any(name.startswith("bootstrap") for name in off.of(kind)), kind


@pytest.mark.parametrize("makes", [True, False])
def test_the_bootstrap_makes_users_only_where_it_is_asked_to(makes: bool) -> None:
    (job,) = render("external", *EXTERNAL_STORE, f"bootstrap.storeUsers={str(makes).lower()}").of("Job").values()
    spec = job["spec"]["template"]["spec"]
    told = {one["name"] for one in spec["containers"][0]["env"]}

    assert ("SUTI_BOOTSTRAP_STORE_USERS" in told) == makes
    assert ("store-users" in {one["name"] for one in spec["volumes"]}) == makes
    assert "SUTI_BOOTSTRAP_STORE_ACCESS_KEY" in told  # for the bucket


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_volume_of_models_is_mounted_read_only_and_searched_first(name: str) -> None:
    rendered = render("full")
    volumes = rendered.of("Deployment")[name]["spec"]["template"]["spec"]["volumes"]

    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in volumes
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in _container(rendered, name)["volumeMounts"]
    assert _told(rendered, name, "MODELS_PATH") == "/models:/opt/suti/toy-models:/more"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_pods_of_jobs_mount_the_volume_of_models_too(launcher: str) -> None:
    told = render("full").job_templates()[launcher]

    assert {"name": "models", "persistentVolumeClaim": {"claimName": "models"}} in told["volumes"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in told["volumeMounts"]


def test_toy_models_are_searched_unless_they_are_switched_off() -> None:
    assert _told(render("minimal"), "generation", "MODELS_PATH") == "/opt/suti/toy-models"
    assert _told(render("external"), "generation", "MODELS_PATH") == "/models"  # models.toy=false
    assert "test-generate" not in render("minimal", "models.toy=false").of("Pod")


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_collector_is_told_to_services_which_may_then_reach_it(name: str) -> None:
    def egress(rendered: Rendered) -> list[dict[str, Any]]:
        rules = rendered.of("NetworkPolicy")[name]["spec"]["egress"]
        return [rule for rule in rules if rule["ports"] == [{"port": 4317}]]

    with_one, without = render("external"), render("minimal")
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}

    assert _told(with_one, name, "OTLP_ENDPOINT") == "https://collector.monitoring:4317"
    assert egress(with_one) == [{"to": [monitoring], "ports": [{"port": 4317}]}]
    assert _told(without, name, "OTLP_ENDPOINT") is None
    assert egress(without) == []


def test_there_is_a_dashboard_only_where_it_is_asked_for() -> None:
    assert "dashboard" in render("full").of("ConfigMap")
    assert "dashboard" not in render("full", "monitoring.dashboard.enabled=false").of("ConfigMap")


def test_labels_for_all_stand_on_every_object_and_on_every_pod_those_of_jobs_too() -> None:
    rendered = render("minimal", "commonLabels.team=research")

    assert [one["metadata"]["name"] for one in rendered if one["metadata"]["labels"].get("team") != "research"] == []
    for name, pod in rendered.pods().items():
        assert pod["metadata"]["labels"]["team"] == "research", name
    for name, told in rendered.job_templates().items():
        assert told["podLabels"]["team"] == "research", name
    for kind in ("Deployment", "StatefulSet"):  # selectors cannot follow
        assert not any("team" in one["spec"]["selector"]["matchLabels"] for one in rendered.of(kind).values())
