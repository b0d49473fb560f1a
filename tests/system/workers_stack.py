"""All services that do a run, as processes beside a real NATS server, on a small crawl with tiny random models."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints, Service
from suti.client.inputs import run_order
from suti.infra.store import Store
from suti.toyworld.crawls import draw_crawl
from tests.servers.nats import NatsServer
from tests.unit.ml.clip.tiny import save_tiny_clip
from tests.unit.stages.tiny_base import save_tiny_base

RUN_SERVICES = (
    Service.PIPELINE,
    Service.CLUSTERING,
    Service.CAPTIONING,
    Service.EXPERTS,
    Service.FILTERING,
    Service.APPRENTICE,
)
ENDS_S = 900.0  # a busy machine takes minutes to import torch in each process

# A recipe that keeps nearly everything and takes a second: random models make no sense of pictures.
MINIATURE: dict[str, Any] = {
    "grouping": {"shard_clusters": 4, "store_side_px": 32},
    "selection": {"similarity_low": -1.0, "similarity_high": 1.0},
    "captioning": {"captioner": "tags", "rewriter": "grammar", "prompts_per_cluster": 1},
    "experts": {
        "optimizer": "adamw",
        "steps": 4,
        "batch_pictures": 2,
        "samples_per_prompt": 1,
        "sampling": {"sampler": "ddim", "steps": 2, "guidance": 1.0, "batch_pictures": 2},
    },
    "filtering": {"min_gain": -2.0, "max_copy_similarity": 1.0, "min_copy_difference": 0.0},
    "apprentice": {
        "start": "base",
        "optimizer": "adamw",
        "steps": 12,
        "learning_rate": 1e-3,
        "batch_subjects": 2,
        "targets_per_subject": 1,
        "ema_decay": 0.9,
        "checkpoint_steps": 2,
    },
}


@dataclass
class Stack:
    """The processes. Each may be killed and started again; all share one store folder and one NATS server."""

    folder: Path
    services: Sequence[Service] = RUN_SERVICES
    processes: dict[Service, subprocess.Popen[bytes]] = field(default_factory=dict[Service, subprocess.Popen[bytes]])

    def __post_init__(self) -> None:
        self.nats = NatsServer(self.folder / "nats")

    @property
    def store(self) -> Store:
        return Store.open(f"file://{self.folder}/store")

    def start(self) -> None:
        """Everything runs, and the services answer, from now on."""
        self.nats.start()
        save_tiny_base(self.folder / "models" / "base")
        save_tiny_clip(self.folder / "models" / "clip")
        draw_crawl(self.crawl, truth_path=self.folder / "truth.json", pages=11, seed=3, size_px=32)
        for service in self.services:
            self.launch(service)
        for service in self.services:
            self.address(service)

    @property
    def crawl(self) -> Path:
        return self.folder / "crawl.warc.gz"

    def launch(self, service: Service) -> None:
        """One service as `python -m suti_X`; does not wait for it."""
        prefix = f"SUTI_{service.value.upper()}_"
        (self.folder / "ports" / service.value).unlink(missing_ok=True)
        told = {
            "NATS_URL": self.nats.url,
            "STORE_URL": f"file://{self.folder}/store",
            "PORT_FILE": str(self.folder / "ports" / service.value),
            "TELEMETRY_FOLDER": str(self.folder / "telemetry"),
            "JOBS_FOLDER": str(self.folder / "jobs" / service.value),
            "SLOTS": "2",
            "ACK_WAIT_S": "10.0",  # a loaded machine is late to renew leases
            "MAX_DELIVERIES": "50",
            "RETRY_S": "0.2",
            "JOB_RETRY_S": "0.2",
            "DRAIN_S": "5",
            "RECONCILE_S": "0.2",
            "CRAWL_ROOTS": str(self.folder),
            "REISSUE_S": "1.0",
            "MODEL_CACHE": str(self.folder / "cache"),
        }
        environment = {
            **os.environ,
            **{f"{prefix}{name}": value for name, value in told.items()},
            "SUTI_MODELS_PATH": str(self.folder / "models"),
            "TOKENIZERS_PARALLELISM": "false",
        }
        with (self.folder / f"{service.value}.log").open("ab") as log:
            self.processes[service] = subprocess.Popen(
                [sys.executable, "-m", f"suti_{service.value}"], env=environment, stdout=log, stderr=log
            )

    def address(self, service: Service) -> str:
        """host:port, once the service listens."""
        port_file = self.folder / "ports" / service.value
        give_up = time.monotonic() + ENDS_S
        while not port_file.exists():
            if self.processes[service].poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{service.value} did not start: {self.log(service)}")
            time.sleep(0.05)
        return port_file.read_text()

    def log(self, service: Service) -> str:
        return (self.folder / f"{service.value}.log").read_text()[-4000:]

    def kill(self, service: Service) -> None:
        """SIGKILL: nothing is told to anybody."""
        self.processes[service].kill()
        self.processes[service].wait(60)

    def kill_job(self, module: str) -> bool:
        """SIGKILL to one running job of ours; False if there is none just now."""
        for process in self.jobs_running():
            if process.info["cmdline"][-1] == module:
                process.kill()
                return True
        return False

    def jobs_running(self) -> list[psutil.Process]:
        """The jobs of this stack, without the shells that they run under."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter(["cmdline", "environ"]):
            command, environment = process.info["cmdline"] or [], process.info["environ"] or {}
            ours = str(self.folder) in environment.get("SUTI_PROGRESS_FILE", "")
            if ours and command and command[0] == sys.executable and command[-1].endswith(".job"):
                found.append(process)
        return found

    def stop(self) -> None:
        """All processes end in order; whatever does not is killed."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self.nats.stop()

    def client(self) -> Suti:
        return Suti(Endpoints(**{service.value: self.address(service) for service in self.services}))

    def begin(self, *, seed: int = 0, **changes: Any) -> str:
        """Starts a miniature run; its id."""
        order = run_order(
            str(self.crawl),
            preset="toy",
            seed=seed,
            base="base",
            clip="clip",
            warmstart="base",
            changes={**MINIATURE, **changes},
        )
        with self.client() as suti:
            return suti.create_run(order).run_id

    def ended(self, run_id: str) -> pb.Run:
        """The run after its end. Fails after a while, and shows what the services said."""
        give_up = time.monotonic() + ENDS_S
        with self.client() as suti:
            while True:
                run = suti.get_run(run_id)
                if run.HasField("outcome"):
                    return run
                if time.monotonic() > give_up:
                    letters = [f"{one.reason}: {one.message}" for one in suti.list_dead_letters(run_id=run_id)]
                    logs = "\n".join(f"--- {service.value}\n{self.log(service)}" for service in self.services)
                    raise AssertionError(f"run {run_id} did not end; dead letters: {letters}\n{run}\n{logs}")
                time.sleep(0.1)


@contextmanager
def running(folder: Path, *, services: Sequence[Service] = RUN_SERVICES) -> Generator[Stack]:
    """These services, ready, until the block ends."""
    stack = Stack(folder, services=services)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
