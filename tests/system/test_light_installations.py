"""Each service starts, and works, with the packages of its own extra alone: the light ones without torch."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.client.errors import RemoteRefusal
from suti.core import keys
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.tickets import ShardTicket
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from suti.toyworld.crawls import draw_crawl
from tests.servers.nats import NatsServer, nats_server
from tests.system.light_installation import launch, modules_refused, packages_of
from tests.unit.ml.captions.endpoint_server import ChatServer, serving
from tests.unit.stages.shards import noise, png
from tests.waiting import appears, becomes

__all__ = ["nats_server"]

HEAVY = {"torch", "transformers", "diffusers", "open_clip", "peft"}
LIGHT = {
    "pipeline": "suti_pipeline",
    "clustering": "suti_clustering",
    "captioning-endpoint": "suti_captioning",
    "experts-launcher": "suti_experts",
    "apprentice-launcher": "suti_apprentice",
}
# What is imported by who installs these extras. Extras that bring the same are looked at as one: torch is slow to load.
HEAVY_MODULES = {
    "clustering-score": ("suti_clustering.__main__", "suti.stages.selection", "suti.stages.models"),
    "captioning": ("suti_captioning.__main__", "suti.ml.captions.transformers_captioner", "suti.ml.captions.tags"),
    "generation": ("suti_generation.__main__", "suti_filtering.__main__", "suti_experts.job", "suti_apprentice.job"),
}
LIMIT_S = 240.0


@asynccontextmanager
async def running(
    extra: str, nats: NatsServer, folder: Path, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[str]:
    """The service of a light extra; its address. It ends with 0 when it is asked to."""
    module = LIGHT[extra]
    told = {
        "NATS_URL": nats.url,
        "STORE_URL": f"file://{folder}/store",
        "PORT_FILE": str(folder / "port"),
        "JOBS_FOLDER": str(folder / "jobs"),
        "DRAIN_S": "10",
        **(settings or {}),
    }
    environment = {**os.environ, **{f"{module.upper()}_{name}": value for name, value in told.items()}}
    process = launch(extra, module, environment=environment, log=folder / "log")
    try:
        await becomes(lambda: (folder / "port").exists() or process.poll() is not None, limit_s=LIMIT_S)
        assert process.poll() is None, (folder / "log").read_text()
        yield await appears(folder / "port")
        process.send_signal(signal.SIGTERM)
        await becomes(lambda: process.poll() is not None, limit_s=LIMIT_S)
        assert process.returncode == 0, (folder / "log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def test_light_extras_bring_no_models_library() -> None:
    for extra in LIGHT:
        assert modules_refused(extra) >= HEAVY


def test_the_extras_of_filtering_experts_apprentice_and_generation_bring_the_same() -> None:
    assert len({frozenset(packages_of(extra)) for extra in ("filtering", "experts", "apprentice", "generation")}) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", LIGHT)
async def test_a_light_service_starts_and_ends_with_what_its_extra_brings(
    extra: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running(extra, nats_server, tmp_path) as address:
        assert address


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", HEAVY_MODULES)
def test_everything_that_a_service_imports_is_in_its_extra(extra: str, tmp_path: Path) -> None:
    (tmp_path / "everything.py").write_text("".join(f"import {module}\n" for module in HEAVY_MODULES[extra]))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    process = launch(extra, "everything", environment=environment, log=tmp_path / "log")

    assert process.wait(LIMIT_S) == 0, (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_crawl_is_grouped_by_a_process_without_torch(nats_server: NatsServer, tmp_path: Path) -> None:
    crawl, store = tmp_path / "crawl.warc.gz", Store.open(f"file://{tmp_path}/store")
    draw_crawl(crawl, truth_path=tmp_path / "truth.json", pages=4, seed=3, size_px=32)
    spec = RunSpec(
        run_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        created_at=datetime.now(UTC),
        created_by="test",
        input=CrawlInput(url=str(crawl), format="warc"),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
    )
    store.put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())

    async with running("clustering", nats_server, tmp_path), await Bus.connect(nats_server.url, name="test") as bus:
        for stage in (Stage.GROUPING, Stage.SELECTION):
            await bus.issue(ShardTicket(run_id=spec.run_id, stage=stage, shard=0))
        ledger = Ledger(store, spec.run_id)
        await becomes(lambda: ledger.is_committed(Stage.GROUPING, 0), limit_s=LIMIT_S)
        selection = await bus.queue_state(Stage.SELECTION)

    assert ledger.get(Stage.GROUPING, 0).counts["clusters_out"] >= 1
    assert selection.waiting == 1  # for somebody who has torch


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("setting", "extra"),
    [({"STAGES": "both"}, "clustering-score"), ({"RAY_ADDRESS": "ray-head:6379"}, "clustering-ray")],
)
def test_a_service_without_what_its_settings_need_does_not_start_and_says_what_to_install(
    nats_server: NatsServer, tmp_path: Path, setting: dict[str, str], extra: str
) -> None:
    told = {"NATS_URL": nats_server.url, "STORE_URL": f"file://{tmp_path}/store", **setting}
    environment = {**os.environ, **{f"SUTI_CLUSTERING_{name}": value for name, value in told.items()}}
    process = launch("clustering", "suti_clustering", environment=environment, log=tmp_path / "log")

    assert process.wait(LIMIT_S) not in {0, None}
    assert f"install suti[{extra}]" in (tmp_path / "log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_an_endpoint_captions_in_a_process_without_torch(nats_server: NatsServer, tmp_path: Path) -> None:
    changes = {"captioner": "openai", "captioner_model": "tiny", "rewriter": "grammar", "attempts": 1}

    with serving(ChatServer(answer=lambda request: '{"caption": "A red cup on a table."}')) as endpoint:
        settings = {"ENDPOINTS": json.dumps({"here": {"url": endpoint.url}})}
        async with running("captioning-endpoint", nats_server, tmp_path, settings) as address:
            with Suti(Endpoints(captioning=address)) as suti:
                answer = suti.caption_pictures([(png(noise(1)), "a cup")], changes={**changes, "endpoint": "here"})
                with pytest.raises(RemoteRefusal) as refused:
                    suti.caption_pictures([(png(noise(1)), "a cup")], changes={"captioner": "transformers"})

    assert answer.captions[0].caption == "A red cup on a table."
    assert refused.value.reason == "TORCH_MISSING"


def test_the_loaders_of_these_tests_refuse_what_they_should(tmp_path: Path) -> None:
    (tmp_path / "everything.py").write_text("import torch\n")
    program = Path(__file__).with_name("light_installation.py")
    ended = subprocess.run(
        [sys.executable, str(program), "pipeline", "everything"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "No module named 'torch'" in ended.stderr
