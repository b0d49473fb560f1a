"""The keys that the chart demands of secrets that people give are those that pods mount."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.rendering import PREFIX, Rendered, refusal, render

SHOWN = (
    'extraManifests=["{{ dict \\"apiVersion\\" \\"v1\\" \\"kind\\" \\"ConfigMap\\" \\"metadata\\" '
    '(dict \\"name\\" \\"shown\\") \\"nats\\" (include \\"suti.nats.keys\\" . | fromYamlArray) '
    '\\"store\\" (include \\"suti.store.keys\\" . | fromYamlArray) | toYaml }}"]'
)


def _references(rendered: Rendered) -> Iterator[tuple[str, str]]:
    """Secret and key of every environment variable that pods take from one."""
    specs: list[dict[str, Any]] = [pod["spec"] for pod in rendered.pods().values()]
    environments = [one for spec in specs for container in spec["containers"] for one in container.get("env", [])]
    environments += [one for template in rendered.job_templates().values() for one in template["env"]]
    for one in environments:
        if found := one.get("valueFrom", {}).get("secretKeyRef"):
            yield found["name"], found["key"]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("bootstrap.enabled=false",),
        ("bootstrap.streams=false",),
        ("captioning.enabled=false", "apprentice.enabled=false"),
        ("nats.users=shared", "store.users=shared"),
    ],
)
def test_exactly_the_keys_that_pods_take_are_demanded(settings: tuple[str, ...]) -> None:
    rendered = render("external", *settings, SHOWN)
    demanded = rendered.of("ConfigMap")["shown"]
    taken = set(_references(rendered))

    assert set(demanded["nats"]) == {key for secret, key in taken if secret == "suti-nats"}
    assert set(demanded["store"]) == {key for secret, key in taken if secret == "suti-store"}


def test_the_embedded_bus_takes_every_users_key() -> None:
    rendered = render("minimal", "nats.existingSecret=mine", "captioning.enabled=false", SHOWN)
    taken = {key for secret, key in _references(rendered) if secret == "mine"}

    assert set(rendered.of("ConfigMap")["shown"]["nats"]) == taken
    assert {"captioning", "bootstrap", "probe"} <= taken


SECRETS = (
    'extraManifests=["{{ dict \\"apiVersion\\" \\"v1\\" \\"kind\\" \\"ConfigMap\\" \\"metadata\\" '
    '(dict \\"name\\" \\"shown\\") \\"demanded\\" (include \\"suti.neededSecrets\\" . | fromYaml) | toYaml }}"]'
)


def _mounted(rendered: Rendered) -> set[str]:
    specs: list[dict[str, Any]] = [pod["spec"] for pod in rendered.pods().values()]
    specs += list(rendered.job_templates().values())
    return {one["secret"]["secretName"] for spec in specs for one in spec["volumes"] if "secret" in one}


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        ("external", ()),
        ("restricted", ()),
        ("external", ("auth.enabled=false",)),
        ("external", ("bootstrap.adminSecret=admin",)),
        ("external", ("bootstrap.adminSecret=admin", "bootstrap.bucket=true")),
        ("external", ("bootstrap.adminSecret=admin", "bootstrap.storeUsers=true")),
        ("external", ("bootstrap.adminSecret=admin", "bootstrap.bucket=true", "bootstrap.enabled=false")),
        ("external", ("clustering.enabled=false",)),
        ("external", ("nats.users=none", "store.users=ambient")),
        ("external", ("minio.embedded.existingSecret=root",)),
        ("minimal", ("bootstrap.adminSecret=admin",)),
        ("minimal", ("minio.embedded.existingSecret=root", "auth.existingSecret=tokens", "auth.enabled=false")),
        ("minimal", ("tls.secretName=certificate",)),
    ],
)
def test_a_secret_that_no_pod_takes_is_not_asked_for_and_one_that_is_taken_is(
    case: str, settings: tuple[str, ...]
) -> None:
    rendered = render(case, *settings, SECRETS)
    demanded = {one["secret"] for one in rendered.of("ConfigMap")["shown"]["demanded"].values()}
    made = {PREFIX + name for name in (*rendered.of("Secret"), "tls")}  # that one by cert-manager

    assert demanded == ({secret for secret, _ in _references(rendered)} | _mounted(rendered)) - made


def test_no_administrators_secret_is_demanded_where_there_is_nothing_to_make() -> None:
    render("restricted", "bootstrap.storeUsers=true")  # whose services sign in by service accounts
    assert "bootstrap.adminSecret is empty" in refusal("external", "bootstrap.storeUsers=true")


def test_storage_classes_are_looked_for_where_servers_are_embedded_and_keep_their_data() -> None:
    shown = SECRETS.replace("neededSecrets", "neededClasses")

    def looked_for(case: str, *settings: str) -> set[str]:
        return set(render(case, *settings, shown).of("ConfigMap")["shown"]["demanded"])

    nats, minio = ("nats.embedded.persistence.storageClass", "minio.embedded.persistence.storageClass")
    assert looked_for("minimal", f"{nats}=fast", f"{minio}=slow") == {nats, minio}
    assert looked_for("full", f"{minio}=slow") == {nats}  # whose MinIO keeps nothing
    assert looked_for("external", f"{nats}=fast", f"{minio}=slow") == set()
    assert looked_for("minimal", f"{nats}=fast", "checkStorageClasses=false") == set()
