"""A real NATS server, a real store and the pipeline service as a process; its workers write small, made-up shards.

The rows are made up, all else is real: tickets, leases, commits, dead letters, the ledger and the API.
"""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.core import keys
from suti.core.ids import candidate_id, cluster_id, picture_id, prompt_id
from suti.core.records import (
    CandidateRow,
    CaptionRow,
    DropRow,
    ExampleRow,
    PictureRow,
    PromptRow,
    Stage,
    VerdictRow,
)
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.lease import Lease
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.ledger import Draft, Ledger
from suti.infra.store import Store
from suti.infra.tables import Row, to_parquet
from suti.stages.run_spec import load_run_spec
from tests.servers.nats import NatsServer

START_S = 240.0
PATIENCE = Patience(backoff_s=(0.1,))


@dataclass
class PipelineProcess:
    """The service as `python -m suti_pipeline`."""

    folder: Path
    nats: NatsServer
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Store:
        return Store.open(f"file://{self.folder}/store")

    @property
    def address(self) -> str:
        return (self.folder / "port").read_text()

    def start(self) -> None:
        (self.folder / "port").unlink(missing_ok=True)
        environment = {
            **os.environ,
            "SUTI_PIPELINE_NATS_URL": self.nats.url,
            "SUTI_PIPELINE_STORE_URL": f"file://{self.folder}/store",
            "SUTI_PIPELINE_PORT_FILE": str(self.folder / "port"),
            "SUTI_PIPELINE_TELEMETRY_FOLDER": str(self.folder / "telemetry"),
            "SUTI_PIPELINE_RECONCILE_S": "0.2",
            "SUTI_PIPELINE_CRAWL_ROOTS": "/",
            "SUTI_PIPELINE_REISSUE_S": "0.5",
            "SUTI_PIPELINE_DRAIN_S": "5",
            "SUTI_MODELS_PATH": str(self.folder / "models"),
        }
        with (self.folder / "pipeline.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "suti_pipeline"], env=environment, stdout=log, stderr=log
            )
        give_up = time.monotonic() + START_S
        while not (self.folder / "port").exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise RuntimeError(f"did not start: {(self.folder / 'pipeline.log').read_text()[-3000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def client(self) -> Suti:
        return Suti(Endpoints(pipeline=self.address))

    def order_files(self) -> Path:
        """A crawl and models to name in orders; returns the crawl's path."""
        crawl = self.folder / "crawl.warc.gz"
        crawl.write_bytes(b"workers here never read it")
        for name in ("base", "clip", "warmstart"):
            (self.folder / "models" / name).mkdir(parents=True, exist_ok=True)
            (self.folder / "models" / name / "config.json").write_text(f'{{"name": "{name}"}}')
        return crawl


@contextmanager
def running_pipeline(folder: Path) -> Generator[PipelineProcess]:
    """One service and one NATS server until the block ends; then the service stops in order, or the test fails."""
    nats = NatsServer(folder / "nats")
    nats.start()
    process = PipelineProcess(folder, nats)
    try:
        process.start()
        yield process
        assert process.stop() == 0, (folder / "pipeline.log").read_text()[-3000:]
    finally:
        process.kill()
        nats.stop()


@dataclass
class Shards:
    """What the workers of a test write, and how they misbehave."""

    store: Store
    shards: int = 2
    clusters: int = 3  # of each shard, before selection drops the last
    keep: bool = True
    fail: Callable[[ShardTicket], None] = lambda ticket: None
    handled: list[ShardTicket] = field(default_factory=list[ShardTicket])

    def handle(self, ticket: ShardTicket, fence: str) -> None:
        """Commit the shard unless that is done; refuse first if the test says so."""
        ledger = Ledger(self.store, ticket.run_id)
        if ledger.is_committed(ticket.stage, ticket.shard) or self.store.exists(keys.run_cancelled(ticket.run_id)):
            return
        self.fail(ticket)
        self.handled.append(ticket)
        write = getattr(self, f"_{ticket.stage}")
        write(ledger, ledger.draft(ticket.stage, ticket.shard, fence=fence), ticket.shard)

    def pictures(self, shard: int) -> list[PictureRow]:
        rows: list[PictureRow] = []
        for number in range(self.clusters):
            page = f"https://example.org/{shard}/{number}"
            ids = [picture_id(f"{shard}/{number}/{k}".encode()) for k in range(3)]
            name = cluster_id(page, ids)
            rows += [
                PictureRow(
                    picture_id=one,
                    cluster_id=name,
                    page_url=page,
                    picture_url=f"{page}/{k}.png",
                    alt_text="alt",
                    fetched_at="",
                    licence="",
                    width_px=8,
                    height_px=8,
                    pixels_sha256=hashlib.sha256(one.encode()).hexdigest(),
                    part=f"pictures-{shard:06d}.tar",
                    offset=0,
                    size_bytes=0,
                )
                for k, one in enumerate(ids)
            ]
        return rows

    def selected(self, shard: int) -> list[PictureRow]:
        if not self.keep:
            return []
        first = list(dict.fromkeys(row.cluster_id for row in self.pictures(shard)))[:-1]
        return [row for row in self.pictures(shard) if row.cluster_id in first]

    def _grouping(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        for index in range(self.shards):
            draft.write(f"clusters-{index:06d}.parquet", to_parquet(self.pictures(index), PictureRow))
        poor = "https://example.org/poor"
        drops = [DropRow("page", poor, "PAGE_TOO_FEW_PICTURES", 2.0, "", poor)]
        drops += [DropRow("pair", f"{poor}/{n}.png", "PAGE_TOO_FEW_PICTURES", None, "", poor) for n in range(2)]
        draft.write("drops.parquet", to_parquet(drops, DropRow))
        clusters = self.shards * self.clusters
        counts = {
            "items_in": clusters * 3 + 2,
            "items_out": clusters * 3,
            "dropped": 2,
            "pages_in": clusters + 1,
            "pages_out": clusters,
            "clusters_out": clusters,
            "pictures_out": clusters * 3,
            "shards": self.shards,
        }
        draft.commit(counts=counts, seconds=0.1)

    def _selection(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        kept = self.selected(shard)
        names = {row.cluster_id for row in kept}
        gone = {row.cluster_id: row for row in self.pictures(shard) if row.cluster_id not in names}
        self._write(draft, "clusters.parquet", kept, PictureRow)
        drops = [DropRow("cluster", n, "CLUSTER_TOO_DISSIMILAR", 0.1, "", row.page_url) for n, row in gone.items()]
        self._write(draft, "drops.parquet", drops, DropRow)
        draft.commit(counts=_counts(self.clusters, len(names)), seconds=0.1)

    def _captioning(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        rows = self.selected(shard)
        names = sorted({row.cluster_id for row in rows})
        captions = [CaptionRow(row.picture_id, row.cluster_id, "alt", "seen", "a red cup") for row in rows]
        prompts = [PromptRow(prompt_id(n, "a cup at sea"), n, "recontextualisation", "a cup at sea") for n in names]
        self._write(draft, "captions.parquet", captions, CaptionRow)
        self._write(draft, "prompts.parquet", prompts, PromptRow)
        self._write(draft, "drops.parquet", [], DropRow)
        draft.commit(counts=_counts(len(names), len(names)), seconds=0.1)

    def candidates(self, shard: int) -> list[CandidateRow]:
        rows: list[CandidateRow] = []
        for name in sorted({row.cluster_id for row in self.selected(shard)}):
            prompt = prompt_id(name, "a cup at sea")
            for sample in range(2):
                one = candidate_id(name, prompt, sample)
                pixels = hashlib.sha256(one.encode()).hexdigest()
                rows.append(CandidateRow(one, name, prompt, sample, 7, pixels, "candidates.tar", 0, 0))
        return rows

    def _experts(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        rows = self.candidates(shard)
        self._write(draft, "candidates.parquet", rows, CandidateRow)
        self._write(draft, "drops.parquet", [], DropRow)
        clusters = len({row.cluster_id for row in rows})
        draft.commit(counts={**_counts(clusters, clusters), "candidates_out": len(rows)}, seconds=0.1)

    def _filtering(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        spec = load_run_spec(self.store, ledger.run_id)
        if spec.parent_run_id:
            from suti.stages import filtering  # noqa: PLC0415 - brings torch, and only replays need it

            filtering.replay(ledger, spec, shard, parent=Ledger(self.store, spec.parent_run_id), fence=draft.fence)
            return
        rows = self.candidates(shard)
        verdicts = [
            VerdictRow(
                candidate_id=row.candidate_id,
                cluster_id=row.cluster_id,
                prompt_id=row.prompt_id,
                kept=row.sample == 0,
                reason="KEPT" if row.sample == 0 else "GAIN_TOO_LOW",
                gain=0.1 if row.sample == 0 else -0.1,
                prompt_similarity=0.3,
                copy_similarity=0.5,
                policy_digest="policy",
            )
            for row in rows
        ]
        examples = [ExampleRow(v.candidate_id, v.cluster_id, v.prompt_id, shard) for v in verdicts if v.kept]
        self._write(draft, "verdicts.parquet", verdicts, VerdictRow)
        self._write(draft, "examples.parquet", examples, ExampleRow)
        self._write(draft, "drops.parquet", [], DropRow)
        draft.write("embeddings.safetensors", b"none")
        draft.commit(counts=_counts(len(verdicts), len(examples)), seconds=0.1, details={"clip_sha256": "clip"})

    def _apprentice(self, ledger: Ledger, draft: Draft, shard: int) -> None:
        examples = sum(commit.counts["items_out"] for commit in ledger.commits(Stage.FILTERING))
        draft.write("unet/diffusion_pytorch_model.safetensors", b"weights")
        draft.commit(counts={"items_in": examples, "items_out": 1, "dropped": 0}, seconds=0.1)

    @staticmethod
    def _write[R: Row](draft: Draft, name: str, rows: list[R], row_type: type[R]) -> None:
        draft.write(name, to_parquet(rows, row_type))


@asynccontextmanager
async def workers(
    nats: NatsServer,
    shards: Shards,
    *,
    stages: tuple[Stage, ...] = tuple(Stage),
    patience: Patience = PATIENCE,
    name: str | None = None,
) -> AsyncGenerator[None]:
    """One worker for each stage, on a host of that name, until the block ends."""

    async def handle(ticket: ShardTicket, lease: Lease) -> None:
        await lease.keep_alive(shards.handle, ticket, lease.fence)
        await bus.announce("committed", run_id=ticket.run_id, stage=ticket.stage, shard=ticket.shard)

    stop = asyncio.Event()
    async with await Bus.connect(nats.url, name="workers") as bus:
        letters = DeadLetters(shards.store)
        running = [
            asyncio.create_task(
                Worker(
                    bus, stage=stage, handle=handle, dead_letters=letters, patience=patience, drain_s=2.0, name=name
                ).run(stop)
            )
            for stage in stages
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*running)


def _counts(items_in: int, items_out: int) -> dict[str, int]:
    return {"items_in": items_in, "items_out": items_out, "dropped": items_in - items_out}
