"""What cannot work is refused at install, or said by `suti doctor --cluster` while it does not work."""

import re
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from tests.charts.rendering import CHART, COMPONENTS, ROOT
from tests.cluster.release.conftest import new_namespace
from tests.cluster.release.installed import NAME, READY_S, within
from tests.cluster.release.kube import Kube

# The pipeline alone, which is enough to be wrong.
ALONE = {f"{component}.enabled": "false" for component in COMPONENTS if component != "pipeline"}
TRIAL = {"tls.mode": "plaintext", "nats.embedded.enabled": "true", "minio.embedded.enabled": "true"}
S3 = {
    "tls.mode": "plaintext",
    "store.url": "s3://suti",
    "store.port": "9000",
    "store.allowHttp": "true",
    "store.users": "shared",
    "store.existingSecret": "keys",
    "bootstrap.bucket": "false",
    "bootstrap.storeUsers": "false",
}
UNREACHABLE = "http://nowhere:9000"
NO_NATS = {"nats.url": "nats://nowhere:4222", "nats.users": "none", "bootstrap.enabled": "false"}


@pytest.fixture
def kube(kubeconfig: Path) -> Generator[Kube]:
    """A namespace of this test's own."""
    with new_namespace(kubeconfig) as found:
        yield found


@pytest.fixture(scope="module")
def store(kubeconfig: Path, image_settings: dict[str, str]) -> Generator[Kube]:
    """A release with a MinIO that is as it should be; gone afterwards."""
    with new_namespace(kubeconfig) as found:
        found.helm(*install(image_settings, TRIAL), "--wait", "--timeout", f"{READY_S:.0f}s")
        yield found


def install(images: Mapping[str, str], settings: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a `helm install` of the pipeline alone, with little patience."""
    told = {**ALONE, **images, "defaults.startupSeconds": "90", **settings}
    return ("install", NAME, str(CHART), *(word for one in told.items() for word in ("--set", "=".join(one))))


def doctor(kube: Kube) -> str:
    """What `suti doctor --cluster` says, in one line."""
    command = [sys.executable, "-m", "suti.cli.main", "doctor", "--cluster", "--namespace", kube.namespace]
    command += ["--kubeconfig", str(kube.kubeconfig)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return re.sub(r"\s+", " ", f"{found.returncode}: {found.stdout}{found.stderr}")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param(
            {**TRIAL, "tls.mode": "secret", "tls.secretName": "nobodys"},
            r'there is no secret "nobodys" in namespace \S+: create it with the keys tls.crt, tls.key',
            id="secret",
        ),
        pytest.param(
            {**TRIAL, "tls.mode": "secret", "tls.secretName": "halfway"},
            r'the secret "halfway" has no key "tls.key": add it',
            id="key",
        ),
        pytest.param(
            {**TRIAL, "minio.embedded.persistence.storageClass": "nobodys"},
            r'no storage class "nobodys": name one of `kubectl get storageclass`',
            id="storage class",
        ),
    ],
)
def test_what_the_cluster_does_not_have_is_refused_at_install(
    kube: Kube, image_settings: dict[str, str], settings: Mapping[str, str], says: str
) -> None:
    kube.kubectl("create", "secret", "generic", "halfway", "--from-literal=tls.crt=x")

    refused = kube.helm_fails(*install(image_settings, settings))

    assert re.search(says, refused), refused
    assert kube.get("deployments") == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param(
            {**S3, **NO_NATS, "store.endpoint": UNREACHABLE},
            ("waiting for NATS", "BUS_UNAVAILABLE"),
            id="NATS",
        ),
        pytest.param(
            {**S3, "nats.embedded.enabled": "true", "store.endpoint": UNREACHABLE},
            ("waiting for the store s3://suti", "STORE_UNAVAILABLE"),
            id="S3",
        ),
        pytest.param(
            {**S3, "nats.embedded.enabled": "true", "store.endpoint": "THERE"},
            ("waiting for the store s3://suti", "STORE_REFUSED"),
            id="policy",
        ),
    ],
)
def test_what_cannot_be_reached_is_said_first_by_a_pod_that_waits_then_by_its_end(
    kube: Kube, store: Kube, image_settings: dict[str, str], settings: dict[str, str], says: tuple[str, str]
) -> None:
    held = store.secret(f"{NAME}-store-users")  # of a user that may do something else
    keys = [f"--from-literal={kind}-key={held[f'crawls-{kind}-key']}" for kind in ("access", "secret")]
    kube.kubectl("create", "secret", "generic", "keys", *keys)
    there = f"http://{NAME}-minio.{store.namespace}:9000"
    told = settings | {"store.endpoint": settings["store.endpoint"].replace("THERE", there)}

    kube.helm(*install(image_settings, told))

    for words in says:
        within(180, f"doctor says {words!r}", lambda words=words: words in doctor(kube))
    assert doctor(kube).startswith("1: ")
