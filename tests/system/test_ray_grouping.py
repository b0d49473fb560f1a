"""Grouping on a real Ray cluster: a head that computes nothing, and two workers."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.ids import new_run_id
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.ml.clusters.recipe import GroupingRecipe
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from tests.servers.nats import free_port
from tests.unit.ml.clusters.crawls import shop, warc

pytestmark = [pytest.mark.extended, pytest.mark.timeout(1800)]

# A process has one engine for good, so each grouping has a process of its own.
GROUP = """
import sys
from suti.core.bucket_access import BucketAccess
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.grouping import run_shard
from suti.stages.grouping_places import RayCluster, ThisProcess
from suti.stages.run_spec import load_run_spec

store = Store.open(sys.argv[1])
place = RayCluster(sys.argv[3], BucketAccess()) if len(sys.argv) > 3 else ThisProcess()
run_shard(Ledger(store, sys.argv[2]), load_run_spec(store, sys.argv[2]), place=place)
"""


@contextmanager
def node(log: Path, *arguments: str) -> Generator[None]:
    """One process group of Ray, until the block ends."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()  # with --block it ends what it started
        process.wait(60)


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("ray")
    address, ports = f"127.0.0.1:{free_port()}", ("--node-ip-address=127.0.0.1", "--object-store-memory=100000000")
    head = ("--head", f"--port={address.rpartition(':')[2]}", "--num-cpus=0", "--include-dashboard=false", *ports)
    with ExitStack() as nodes:
        nodes.enter_context(node(folder / "head.log", *head, f"--temp-dir=/tmp/suti-ray-{os.getpid()}"))
        wait_for(address, nodes=1, log=folder / "head.log")
        for number in (1, 2):  # one after the other: two at once are too slow for one another on a busy machine
            nodes.enter_context(node(folder / f"{number}.log", f"--address={address}", "--num-cpus=1", *ports))
            wait_for(address, nodes=1 + number, log=folder / f"{number}.log")
        yield address


def wait_for(address: str, *, nodes: int, log: Path) -> None:
    """Returns once the cluster has so many nodes."""
    look = "import ray, sys, time; ray.init(address=sys.argv[1], log_to_driver=False)\n"
    look += "while sum(n['Alive'] for n in ray.nodes()) < int(sys.argv[2]): time.sleep(0.2)"
    said = b""
    for _ in range(20):
        found = subprocess.run([sys.executable, "-c", look, address, str(nodes)], check=False, capture_output=True)
        if found.returncode == 0:
            return
        said = found.stderr
    raise AssertionError(f"no Ray cluster: {log.read_text()[-3000:]} {said.decode()[-3000:]}")


def crawl(folder: Path) -> Path:
    """Six files with three pages each."""
    folder.mkdir()
    for number in range(6):
        pages = [shop(10 * number + page, [100 * number + 3 * page + k for k in range(3)]) for page in range(3)]
        (folder / f"{number}.warc.gz").write_bytes(warc([answer for page in pages for answer in page]))
    return folder


def grouped(folder: Path, source: Path, *arguments: str) -> Ledger:
    """A grouping of the crawl in a process of its own; always the same run, in another store."""
    spec = RunSpec(
        run_id=new_run_id(),
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        created_by="test",
        input=CrawlInput(url=str(source), format="warc"),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
        grouping=GroupingRecipe(store_side_px=64, shard_clusters=4),
    )
    url = f"file://{folder}"
    Store.open(url).put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())
    done = subprocess.run(
        [sys.executable, "-c", GROUP, url, spec.run_id, *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Ledger(Store.open(url), spec.run_id)


def test_a_ray_cluster_makes_the_same_shards_as_one_process(ray_address: str, tmp_path: Path) -> None:
    source = crawl(tmp_path / "crawl")

    alone = grouped(tmp_path / "alone", source).get(Stage.GROUPING, 0)
    ledger = grouped(tmp_path / "ray", source, ray_address)
    together = ledger.get(Stage.GROUPING, 0)

    assert alone.counts["clusters_out"] == 18
    assert together.counts == alone.counts
    assert [(part.name, part.sha256) for part in together.parts] == [(part.name, part.sha256) for part in alone.parts]
    left = [info.key for info in ledger.store.list(keys.scratch(ledger.run_id, Stage.GROUPING, 0, ""))]
    assert left == []


def test_a_cluster_that_does_not_answer_is_said_to_be_away(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"RayAway|RAY_AWAY"):
        grouped(tmp_path / "store", crawl(tmp_path / "crawl"), f"ray://127.0.0.1:{free_port()}")
