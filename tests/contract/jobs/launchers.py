"""Launchers of a run's shards beside a real NATS server, with jobs that are shell scripts and commits made before."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from suti.core import keys
from suti.infra.bus.connection import Bus
from suti.infra.bus.failures import Patience
from suti.infra.bus.tickets import ShardTicket
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.local import LocalJobs
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.launched_work import LaunchedWork
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from suti.stages.wave_jobs import JobPlan
from suti.stages.waves import Gathering, Waves

RUN = "01JD0000000000000000000000"
STAGE = "experts"
PLACE = "$STORE/runs/$SUTI_RUN_ID/experts/$(printf %06d $SUTI_JOB_INDEX)"
# What each script may call: says that it ran, and makes its shard's commit true.
COMMIT = (
    f"echo $SUTI_JOB_INDEX >> $STORE/ran; commit() {{ mkdir -p {PLACE} && cp $READY/$SUTI_JOB_INDEX {PLACE}/new"
    f" && mv {PLACE}/new {PLACE}/commit.json; }}; "
)


@dataclass
class Launch:
    """One launcher at work."""

    jobs: LocalJobs
    waves: Waves
    stop: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Run:
    """One run of so many shards, whose commits lie ready, and its launchers."""

    folder: Path
    bus: Bus
    shards: int = 4

    def __post_init__(self) -> None:
        (self.folder / "ready").mkdir()
        elsewhere = Store.open(f"file://{self.folder}/elsewhere")
        for shard in range(self.shards):
            Ledger(elsewhere, RUN).draft(STAGE, shard).commit(counts={"items_in": 1}, seconds=1.0)
            self._ready(shard).write_bytes(elsewhere.get(keys.commit(RUN, STAGE, shard)))
        model = ModelRef(name="none")
        spec = RunSpec(
            run_id=RUN,
            created_at=datetime.now(UTC),
            created_by="test",
            input=CrawlInput(url="file:///none", format="warc"),
            models=Models(base=model, clip=model),
        )
        self.store.put(keys.run_spec(RUN), spec.model_dump_json().encode())

    @property
    def store(self) -> Store:
        return Store.open(f"file://{self.folder}/store")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, RUN)

    @property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.store)

    def _ready(self, shard: int) -> Path:
        return self.folder / "ready" / str(shard)

    def ran(self) -> list[int]:
        """The shards whose script began, once for each attempt."""
        told = self.folder / "store" / "ran"
        return sorted(int(line) for line in told.read_text().split()) if told.exists() else []

    async def issue(self, *shards: int) -> None:
        for shard in shards:
            await self.bus.issue(ShardTicket(run_id=RUN, stage=STAGE, shard=shard))

    def committed(self, *shards: int) -> bool:
        return all(self.ledger.is_committed(STAGE, shard) for shard in shards)

    async def all_done(self, *shards: int) -> bool:
        """Whether these are committed, and no ticket is left."""
        return self.committed(*shards) and await self.bus.queue_depth(STAGE) == 0

    def plan(self, script: str, *, attempts: int = 1) -> JobPlan:
        environment = {"STORE": str(self.folder / "store"), "READY": str(self.folder / "ready")}
        return JobPlan(("/bin/sh", "-c", COMMIT + script), environment, attempts=attempts)

    @asynccontextmanager
    async def launching(
        self, script: str, *, attempts: int = 1, gathering: Gathering | None = None, ack_wait_s: float = 30.0
    ) -> AsyncGenerator[Launch]:
        """A launcher that works until the block ends; its jobs then wait for another."""
        jobs = LocalJobs(self.folder / "jobs", slots=8, grace_s=2.0, retry_s=0.01)
        waves = Waves(
            self.bus,
            self.store,
            jobs,
            self.plan(script, attempts=attempts),
            stage=STAGE,
            gathering=gathering or Gathering(wait_s=0.3),
        )
        worker = Worker(
            self.bus,
            stage=STAGE,
            handle=LaunchedWork(self.bus, self.store, waves).handle,
            dead_letters=self.dead_letters,
            concurrency=100,
            ack_wait_s=ack_wait_s,
            patience=Patience(crashes=3, backoff_s=(0.05,)),
            drain_s=4.0,
            outlives_worker=True,
        )
        launch = Launch(jobs, waves)
        await jobs.recover()
        running = asyncio.create_task(worker.run(launch.stop))
        try:
            yield launch
        finally:
            launch.stop.set()
            await running
            await jobs.close()
