"""The generation service as a process beside a real NATS server and a store, with tiny models of random weights."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from suti.api.types.v1.types_pb2 import Demonstration
from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.client.inputs import demonstration
from suti.infra.store import Store
from tests.models.subject_models import save_tiny_subject_model
from tests.servers.nats import NatsServer

START_S = 600.0  # importing torch on a busy machine


@dataclass
class GenerationProcess:
    """The service as `python -m suti_generation`."""

    folder: Path
    nats: NatsServer
    process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Store:
        return Store.open(f"file://{self.folder}/store")

    @property
    def address(self) -> str:
        return (self.folder / "port").read_text()

    def start(self, **settings: str) -> None:
        (self.folder / "port").unlink(missing_ok=True)
        environment = {
            **os.environ,
            "SUTI_GENERATION_NATS_URL": self.nats.url,
            "SUTI_GENERATION_STORE_URL": f"file://{self.folder}/store",
            "SUTI_GENERATION_PORT_FILE": str(self.folder / "port"),
            "SUTI_GENERATION_TELEMETRY_FOLDER": str(self.folder / "telemetry"),
            "SUTI_GENERATION_MODEL_CACHE": str(self.folder / "cache"),
            "SUTI_GENERATION_RETRY_S": "0.1",
            "SUTI_MODELS_PATH": str(self.folder / "models"),
            **{f"SUTI_GENERATION_{name.upper()}": value for name, value in settings.items()},
        }
        with (self.folder / "generation.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "suti_generation"], env=environment, stdout=log, stderr=log
            )
        give_up = time.monotonic() + START_S
        while not (self.folder / "port").exists():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"did not start: {self.log()[-3000:]}")
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "generation.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def client(self) -> Suti:
        return Suti(Endpoints(generation=self.address))


@contextmanager
def running(folder: Path) -> Generator[GenerationProcess]:
    """The service with the models under `folder`; it must end by itself when it is asked to."""
    nats = NatsServer(folder / "nats")
    nats.start()
    process = GenerationProcess(folder, nats)
    process.start(default_deadline_s="60")
    yield process
    assert process.stop() == 0, process.log()[-3000:]
    nats.stop()


def save_models(folder: Path) -> None:
    """A warm start, and its base without the attention."""
    save_tiny_subject_model(folder / "warmstart")
    (folder / "warmstart" / "sampling.json").write_text('{"sampler": "ddim", "steps": 4, "guidance": 2.0}')
    shutil.copytree(folder / "warmstart", folder / "base")
    shutil.rmtree(folder / "base" / "subject")
    (folder / "notes").mkdir()


def picture(seed: int, *, size_px: int = 24, kind: str = "PNG") -> bytes:
    """A small picture of noise."""
    torch.manual_seed(seed)
    noise = torch.randint(0, 256, (size_px, size_px, 3), dtype=torch.uint8).numpy()
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=kind)
    return buffer.getvalue()


def demonstrations(count: int = 3, seed: int = 0) -> list[Demonstration]:
    """As many pictures of a subject, with captions."""
    return [demonstration(picture(seed + index), f"a mug, view {index}") for index in range(count)]
