"""The one folder of a `suti up`: what lies where in it, and that one command at a time works in it."""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from suti.core.errors import BadConfiguration

DATA_VARIABLE = "SUTI_DATA"


class DataFolderInUse(BadConfiguration):
    """Another `suti up` or `suti demo` works in the data folder."""

    reason: ClassVar[str] = "DATA_FOLDER_IN_USE"


class DataFolderUnusable(BadConfiguration):
    """The data folder cannot be made or written."""

    reason: ClassVar[str] = "DATA_FOLDER_UNUSABLE"


@dataclass(frozen=True)
class DataFolder:
    """Where everything of one machine's Suti lies."""

    path: Path

    @property
    def store(self) -> Path:
        """Runs, subjects, models: the truth."""
        return self.path / "store"

    @property
    def store_url(self) -> str:
        """The same as services are told it."""
        return f"file://{self.store}"

    @property
    def nats(self) -> Path:
        """NATS's disk; may be wiped."""
        return self.path / "nats"

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.path / "logs"

    @property
    def telemetry(self) -> Path:
        """Spans, for `suti trace`."""
        return self.path / "telemetry"

    @property
    def jobs(self) -> Path:
        """Experts' and trainings' subprocesses."""
        return self.path / "jobs"

    @property
    def models(self) -> Path:
        """Imported models."""
        return self.path / "models"

    @property
    def model_cache(self) -> Path:
        """Trained apprentices, unpacked from the store."""
        return self.path / "model-cache"

    @property
    def ports(self) -> Path:
        """Where each service writes its address."""
        return self.path / "ports"

    @property
    def endpoints(self) -> Path:
        """Addresses of the services, while they are up."""
        return self.path / "endpoints.json"

    @property
    def processes(self) -> Path:
        """Who was started, so that the next command can end what a killed one left."""
        return self.path / "processes.json"

    def create(self) -> None:
        """The folder with all folders in it. Raises DataFolderUnusable."""
        try:
            for folder in (self.store, self.nats, self.logs, self.telemetry, self.jobs, self.models, self.ports):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataFolderUnusable(f"{self.path}: {error}; name a folder that can be written with --data") from error

    def clear(self) -> None:
        """Forget everything but imported models and whoever holds the lock. Call it with the folder locked."""
        for folder in (self.store, self.nats, self.logs, self.telemetry, self.jobs, self.model_cache, self.ports):
            shutil.rmtree(folder, ignore_errors=True)
        self.create()

    @contextmanager
    def locked(self) -> Generator[None]:
        """Nobody else works in the folder meanwhile; the system drops the lock when the process dies.

        Raises:
            DataFolderInUse: somebody does.
            DataFolderUnusable: the folder cannot be written.
        """
        self.create()
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DataFolderInUse(
                    f"{self.path} is in use by another `suti up`: stop that one, or name another folder with --data"
                ) from error
            yield


def default_data_folder() -> Path:
    """`$SUTI_DATA`, or `suti-data` in the present folder."""
    return Path(os.environ.get(DATA_VARIABLE) or "suti-data").absolute()


def packaged_models() -> Path:
    """The small models that come with Suti."""
    return Path(str(files("suti.toyworld"))) / "models"


def models_path(data: DataFolder) -> str:
    """Where names of models are looked up, separated as PATH is: imported ones first."""
    return os.pathsep.join([str(data.models), str(packaged_models())])
