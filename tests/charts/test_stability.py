"""What must not change between two renderings of one release, and what must roll pods when it does."""

from typing import Any

import pytest

from tests.charts.rendering import CASES, COMPONENTS, Rendered, render

# Released: a Deployment or StatefulSet with another selector cannot be upgraded. Never edit, only add.
SELECTORS = {
    **{("Deployment", name): name for name in COMPONENTS},
    ("StatefulSet", "nats"): "nats",
    ("StatefulSet", "minio"): "minio",
}


@pytest.mark.parametrize("case", CASES)
def test_selectors_never_change(case: str) -> None:
    rendered = render(case)
    for kind in ("Deployment", "StatefulSet"):
        for name, one in rendered.of(kind).items():
            assert one["spec"]["selector"] == {
                "matchLabels": {
                    "app.kubernetes.io/name": "suti",
                    "app.kubernetes.io/instance": "demo",
                    "app.kubernetes.io/component": SELECTORS[kind, name],
                }
            }


def _annotation(rendered: Rendered, name: str, which: str) -> str:
    owner = rendered.of("Deployment").get(name) or rendered.of("StatefulSet")[name]
    return str(owner["spec"]["template"]["metadata"]["annotations"][which])


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_changed_setting_rolls_the_pods_it_concerns_and_no_others(name: str) -> None:
    before, after = render("minimal"), render("minimal", "captioning.settings.KEEP_MODELS=5")
    changed = _annotation(before, name, "checksum/environment") != _annotation(after, name, "checksum/environment")

    assert changed == (name == "captioning")


def test_a_changed_job_template_rolls_its_launcher_alone() -> None:
    before, after = render("minimal"), render("minimal", "experts.jobs.hangSeconds=60")

    assert _annotation(before, "experts", "checksum/jobs") != _annotation(after, "experts", "checksum/jobs")
    assert _annotation(before, "apprentice", "checksum/jobs") == _annotation(after, "apprentice", "checksum/jobs")


def test_a_changed_configuration_rolls_the_embedded_bus() -> None:
    before, after = render("minimal"), render("minimal", "nats.embedded.syncAlways=false")

    assert _annotation(before, "nats", "checksum/config") != _annotation(after, "nats", "checksum/config")


def _without_secrets(rendered: Rendered) -> list[dict[str, Any]]:
    return [one for one in rendered if one["kind"] != "Secret"]


def test_two_renderings_differ_in_generated_secrets_alone() -> None:
    first, again = render("minimal"), render("minimal", "nameOverride=suti")  # the default: rendered anew

    assert _without_secrets(first) == _without_secrets(again)


def test_what_is_generated_is_long_random_and_kept() -> None:
    first, again = render("minimal").of("Secret"), render("minimal", "nameOverride=suti").of("Secret")

    assert set(first) == {"store-users", "nats-users", "minio-root", "tokens"}
    for name, secret in first.items():
        assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        for key, value in secret["data"].items():
            if not key.endswith("access-key"):
                assert value != again[name]["data"][key], f"{name}/{key} is no secret"


def test_nothing_is_generated_where_secrets_are_given() -> None:
    assert render("external").of("Secret") == {}


def test_the_bootstrap_job_has_another_name_when_it_does_something_else() -> None:
    (before,) = render("minimal").of("Job")
    (after,) = render("minimal", "minio.embedded.bucket=other").of("Job")
    (same,) = render("minimal", "generation.replicas=3").of("Job")

    assert before != after
    assert before == same


def test_the_bootstrap_job_runs_anew_with_each_revision_and_waits_for_nothing_that_waits_for_it() -> None:
    rendered = render("minimal", 'extraManifests=["{kind: ConfigMap, metadata: {name: r-{{ .Release.Revision }}}}"]')
    revision = next(name for name in rendered.of("ConfigMap") if name.startswith("r-")).removeprefix("r-")
    (name,) = (name for name in rendered.of("Job"))

    assert name.startswith(f"bootstrap-{revision}-")
    # A hook would run after `--wait`, and services are ready only when it has run.
    assert "helm.sh/hook" not in rendered.of("Job")[name]["metadata"].get("annotations", {})


def test_where_there_is_no_room_for_a_new_pod_the_old_one_goes_first() -> None:
    rendered = render("minimal", "generation.strategy.maxUnavailable=1", "generation.strategy.maxSurge=0")
    updates = {name: one["spec"]["strategy"]["rollingUpdate"] for name, one in rendered.of("Deployment").items()}

    assert updates.pop("generation") == {"maxUnavailable": 1, "maxSurge": 0}
    assert all(one == {"maxUnavailable": 0, "maxSurge": 1} for one in updates.values())
    for one in render("minimal", "defaults.strategy.maxUnavailable=25%").of("Deployment").values():
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": "25%", "maxSurge": 1}


@pytest.mark.parametrize("case", CASES)
def test_updates_start_new_pods_before_they_stop_old_ones(case: str) -> None:
    for one in render(case).of("Deployment").values():
        assert one["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
