"""The keys that the chart demands of secrets that people give are those that pods mount."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.rendering import Rendered, render

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
