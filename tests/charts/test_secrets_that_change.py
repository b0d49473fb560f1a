"""Pods roll with what they read from secrets. Helm sees these in a cluster alone: here a small API server."""

from collections.abc import Generator

import pytest

from tests.charts.rendering import CASES, COMPONENTS, NAMESPACE, PREFIX, Rendered, manifests, render, template
from tests.servers.http import Handler, listening

Secrets = dict[str, dict[str, str]]

KINDS = [
    {"name": "namespaces", "kind": "Namespace", "namespaced": False},
    {"name": "secrets", "kind": "Secret", "namespaced": True},
]
ALL = set(COMPONENTS)
USERS: tuple[str, ...] = (*COMPONENTS, "bootstrap", "probe")
# Those that ci/external-values.yaml names.
GIVEN: Secrets = {
    "suti-tokens": {"tokens": "b25l"},
    "suti-nats": dict.fromkeys(USERS, "b25l"),
    "suti-store": {f"{user}-{kind}-key": "b25l" for user in USERS for kind in ("access", "secret")},
    "crawl-keys": {"access-key": "b25l", "secret-key": "b25l"},
    "nats-ca": {"ca.crt": "b25l", "tls.crt": "b25l"},
    "s3-ca": {"ca.crt": "b25l"},
    "more": {"HF_TOKEN": "b25l"},
}


class Cluster:
    """The secrets of one namespace, and whether that is there yet."""

    def __init__(self) -> None:
        self.secrets: Secrets = {}
        self.namespace = True
        self.url = ""

    def render(self, case: str, *settings: str) -> Rendered:
        """What Helm would install there."""
        return manifests(template(case, settings, cluster=self.url))

    def answer(self, path: str) -> dict[str, object] | None:
        """What a GET finds, if anything."""
        match path.strip("/").split("/")[2:]:
            case []:
                return {"kind": "APIResourceList", "groupVersion": "v1", "resources": KINDS}
            case ["namespaces", name] if self.namespace:
                return {"kind": "Namespace", "metadata": {"name": name}}
            case ["namespaces", _, "secrets"]:
                return {"kind": "SecretList", "items": []}
            case ["namespaces", name, "secrets", secret] if name == NAMESPACE and secret in self.secrets:
                return {"kind": "Secret", "metadata": {"name": secret}, "data": self.secrets[secret]}
            case _:
                return None


@pytest.fixture
def cluster() -> Generator[Cluster]:
    held = Cluster()

    class Api(Handler):
        def do_GET(self) -> None:
            found = held.answer(self.path.partition("?")[0])
            missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            body = {"apiVersion": "v1", **(found or missing)}
            self.answer(200 if found else 404, body, headers={"Content-Type": "application/json"})

    with listening(Api) as held.url:
        yield held


def _made(rendered: Rendered) -> Secrets:
    return {one["metadata"]["name"]: one["data"] for one in rendered.of("Secret").values()}


def _checksums(rendered: Rendered) -> dict[str, str | None]:
    pods = {**rendered.of("Deployment"), **rendered.of("StatefulSet")}
    return {
        name: one["spec"]["template"]["metadata"]["annotations"].get("checksum/secrets") for name, one in pods.items()
    }


def _differ(before: Rendered, after: Rendered) -> set[str]:
    ones, others = _checksums(before), _checksums(after)
    return {name for name in ones if ones[name] != others[name]}


def test_a_key_that_changed_in_a_given_secret_rolls_the_pods_that_read_it_and_no_others(cluster: Cluster) -> None:
    expected = {
        ("suti-tokens", "tokens"): ALL,
        ("suti-nats", "filtering"): {"filtering"},
        ("suti-nats", "probe"): set[str](),
        ("suti-store", "experts-secret-key"): {"experts"},
        ("crawl-keys", "access-key"): {"clustering"},
        ("nats-ca", "ca.crt"): ALL,
        ("nats-ca", "tls.crt"): set[str](),
        ("s3-ca", "ca.crt"): ALL,
        ("more", "HF_TOKEN"): {"captioning"},
    }
    settings = 'captioning.envFrom=[{"secretRef":{"name":"more"}}]'
    cluster.secrets = GIVEN
    before = cluster.render("external", settings)

    for (secret, key), readers in expected.items():
        cluster.secrets = {**GIVEN, secret: {**GIVEN[secret], key: "dHdv"}}
        assert _differ(before, cluster.render("external", settings)) == readers, f"{secret}/{key}"


def test_a_key_that_somebody_changed_in_a_made_secret_rolls_its_readers_embedded_servers_too(cluster: Cluster) -> None:
    expected = {
        ("tokens", "tokens"): ALL,
        ("nats-users", "generation"): {"generation", "nats"},
        ("nats-users", "bootstrap"): {"nats"},
        ("store-users", "generation-secret-key"): {"generation"},
        ("store-users", "crawls-secret-key"): set[str](),
        ("minio-root", "root-password"): {"minio"},
    }
    before = cluster.render("minimal")
    made = _made(before)

    for (secret, key), readers in expected.items():
        name = f"{PREFIX}{secret}"
        cluster.secrets = {**made, name: {**made[name], key: "dHdv"}}
        assert _differ(before, cluster.render("minimal")) == readers, f"{secret}/{key}"


@pytest.mark.parametrize("namespace", [True, False])
def test_an_upgrade_after_the_first_installation_rolls_nothing(cluster: Cluster, namespace: bool) -> None:
    cluster.namespace = namespace  # with --create-namespace Helm renders before it makes one
    installed = cluster.render("minimal")
    cluster.namespace, cluster.secrets = True, _made(installed)

    upgraded = cluster.render("minimal")

    assert _made(upgraded) == cluster.secrets
    assert _checksums(upgraded) == _checksums(installed)
    assert set(_checksums(upgraded)) == {*COMPONENTS, "nats", "minio"}
    assert None not in _checksums(upgraded).values()


def test_a_made_secret_that_somebody_deleted_is_made_anew_and_rolls_its_readers(cluster: Cluster) -> None:
    before = cluster.render("minimal")
    cluster.secrets = _made(before)
    del cluster.secrets["demo-suti-nats-users"]

    assert _differ(before, cluster.render("minimal")) == {*COMPONENTS, "nats"}


@pytest.mark.parametrize("case", CASES)
def test_where_no_cluster_is_asked_no_pod_rolls_with_what_each_rendering_makes_anew(case: str) -> None:
    assert set(_checksums(render(case)).values()) == {None}
