"""The release that these tests use, one after the other: installed, used, disturbed, upgraded, refused, uninstalled.

    make images TAG=trial
    KUBECONFIG=... LOAD_IMAGE="kind load docker-image" SUTI_IMAGE_TAG=trial make test-cluster

`SUTI_IMAGE_TAG` and `SUTI_IMAGE_REGISTRY` say which images; unset: the tag of the version, of localhost. `LOAD_IMAGE`
hands those that the cluster's nodes do not have to them; unset: they are pulled. A node needs 8 GiB and two cores.

While one works on these tests: SUTI_KEEP_NAMESPACE=1 leaves the release, SUTI_USE_NAMESPACE=name takes the one there,
and SUTI_USE_RUN=id its run.
"""

import fcntl
import io
import os
import secrets
import shlex
import subprocess
import tempfile
import tomllib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

from tests.charts.rendering import CHART, ROOT
from tests.cluster.release.installed import NAME, Release
from tests.cluster.release.kube import Kube, Refused, kubectl_path
from tests.cluster.release.runs import OneRun, done, found_run, on_one_machine, put_crawl


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What installs, rolls and trains takes minutes, and on a busy machine many."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Kube]:
    """A namespace that enforces the restricted level, of this session; gone afterwards."""
    kubectl_path()
    if there := os.environ.get("SUTI_USE_NAMESPACE"):
        yield Kube(kubeconfig, there)
        return
    with new_namespace(kubeconfig) as kube:
        yield kube


@contextmanager
def new_namespace(kubeconfig: Path) -> Generator[Kube]:
    """A namespace that enforces the restricted level; gone afterwards with the release in it."""
    kube = Kube(kubeconfig, f"suti-{secrets.token_hex(3)}")
    kube.kubectl("create", "namespace", kube.namespace)
    kube.kubectl("label", "namespace", kube.namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield kube
    finally:
        if not os.environ.get("SUTI_KEEP_NAMESPACE"):
            try:
                kube.helm("uninstall", NAME, "--wait", "--timeout", "120s", "--ignore-not-found")
            finally:
                kube.kubectl("delete", "namespace", kube.namespace, "--wait=false")


@pytest.fixture(scope="session")
def image_settings(cluster: Kube) -> dict[str, str]:
    """Which images are installed; every node has them, or can pull them."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    registry = os.environ.get("SUTI_IMAGE_REGISTRY") or "localhost"
    tag = os.environ.get("SUTI_IMAGE_TAG") or str(version)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    hand_out(cluster, [values[server]["embedded"]["image"] for server in ("nats", "minio")])
    return images_of(cluster, registry, tag)


def images_of(cluster: Kube, registry: str, tag: str) -> dict[str, str]:
    """The values that name Suti's images of this tag; every node has them, or can pull them."""
    hand_out(cluster, [f"{registry}/suti-{kind}:{tag}" for kind in ("light", "grouping", "models")])
    return {"image.registry": registry, "image.tag": tag}


def hand_out(cluster: Kube, images: Sequence[str]) -> None:
    """The cluster's nodes have these images, if `LOAD_IMAGE` says how they get them; each is loaded once."""
    load = os.environ.get("LOAD_IMAGE")
    if not load:
        return
    folder = Path(os.environ.get("SUTI_IMAGES_LOADED") or tempfile.mkdtemp(prefix="suti-images-"))
    nodes = cluster.get("nodes")
    there = {name for node in nodes for image in node["status"].get("images") or () for name in image["names"] or ()}
    for name in images:
        if any(one == name or one.endswith(f"/{name}") for one in there):
            continue
        with (folder / name.replace("/", "_")).open("a+") as record:
            fcntl.flock(record, fcntl.LOCK_EX)  # let go with the file
            if record.seek(0, os.SEEK_END) == 0:
                subprocess.run([*shlex.split(load), name], check=True)
                record.write("loaded")


@pytest.fixture(scope="session")
def release(cluster: Kube, image_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The chart, installed and ready, and a pod to call it from."""
    found = Release(cluster, image_settings, tmp_path_factory.mktemp("release"))
    if os.environ.get("SUTI_USE_NAMESPACE"):
        return found
    try:
        found.install()
        found.start_client()
    except (Refused, AssertionError) as refused:
        raise AssertionError(f"{refused}\n{cluster.state()}") from refused
    return found


@pytest.fixture(scope="session")
def crawl(release: Release, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A drawn crawl in the bucket."""
    return put_crawl(release, tmp_path_factory.mktemp("crawl"))


@pytest.fixture(scope="session")
def whole_run(release: Release, crawl: str) -> OneRun:
    """A run through the cluster that nobody disturbed."""
    if there := os.environ.get("SUTI_USE_RUN"):
        return found_run(release, there)
    return done(release, crawl)


@pytest.fixture(scope="session")
def one_machine(release: Release, whole_run: OneRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The digests of the same run.json, done by `suti up` on this machine, which reads the crawl in the bucket too."""
    held = release.kube.secret(f"{NAME}-store-users")
    with release.kube.forwarded(f"svc/{NAME}-minio", 9000) as port:
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": held["clustering-access-key"],
            "AWS_SECRET_ACCESS_KEY": held["clustering-secret-key"],
        }
        outcome = on_one_machine(whole_run.spec_json, tmp_path_factory.mktemp("machine"), environment=environment)
    return outcome["dataset_digest"], outcome["apprentice_sha256"]


@pytest.fixture(scope="session")
def demonstrations(release: Release) -> list[str]:
    """Pictures of one subject, in the client's pod."""
    return disc_pictures(release)


def disc_pictures(release: Release) -> list[str]:
    """Four pictures of a red disc, written into the client's pod."""
    paths: list[str] = []
    for size in (8, 10, 12, 14):
        picture, png = Image.new("RGB", (64, 64), "grey"), io.BytesIO()
        ImageDraw.Draw(picture).ellipse((32 - size, 32 - size, 32 + size, 32 + size), fill="red")
        picture.save(png, "PNG")
        paths.append(f"/tmp/disc-{size}.png")  # noqa: S108 - the pod's own
        release.write_in_client(paths[-1], png.getvalue())
    return paths
