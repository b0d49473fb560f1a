"""A local job on disk: what was asked, where each index is. All that a launcher needs to go on after its own death."""

import fcntl
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from suti.infra.jobs.port import GangSize, IndexStatus, JobSpec, JobState, Progress


class JobFolder:
    """`<folder>/<name>/`: spec.json, state.json, cancelled, lock, and a folder for each index."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    def create(self, spec: JobSpec) -> JobSpec:
        """Keeps the spec, unless there is one: the one that is kept."""
        self.path.mkdir(parents=True, exist_ok=True)
        fresh = self.path / f"spec.{os.getpid()}.new"
        fresh.write_text(json.dumps(asdict(spec)))
        try:
            os.link(fresh, self.path / "spec.json")  # whole, and only if there was none
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return cast("JobSpec", self.spec())

    def spec(self) -> JobSpec | None:
        """What was asked; None if there is no such job."""
        fields = _read(self.path / "spec.json")
        if fields is None:
            return None
        fields |= {"command": tuple(fields["command"]), "indexes": tuple(fields["indexes"])}
        if fields.get("gang") is not None:
            fields["gang"] = GangSize(**fields["gang"])
        return JobSpec(**fields)

    def state(self) -> tuple[JobState, str, float | None]:
        """State, message, and when it first ran (seconds since 1970)."""
        fields = _read(self.path / "state.json") or {}
        return JobState(fields.get("state", JobState.PENDING)), fields.get("message", ""), fields.get("began")

    def set_state(self, state: JobState, *, message: str = "", began: float | None = None) -> None:
        """Writes the state."""
        _write(self.path / "state.json", {"state": state, "message": message, "began": began or self.state()[2]})

    def index(self, index: int) -> IndexStatus:
        """Where one index is."""
        fields = _read(self.at(index) / "status.json")
        if fields is None:
            return IndexStatus(state=JobState.PENDING)
        fields["state"] = JobState(fields["state"])
        return IndexStatus(**fields)

    def set_index(self, index: int, status: IndexStatus) -> None:
        """Writes where one index is."""
        _write(self.at(index) / "status.json", asdict(status))

    def at(self, index: int) -> Path:
        """The index's own folder."""
        folder = self.path / f"{index:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def attempt_path(self, index: int, *, fresh: bool) -> Path | None:
        """The path of the index's last attempt (None if it has none), or of a fresh one."""
        begun = sorted(int(path.stem.removeprefix("attempt-")) for path in self.at(index).glob("attempt-*.begun"))
        if not fresh:
            return self.at(index) / f"attempt-{begun[-1]}" if begun else None
        path = self.at(index) / f"attempt-{begun[-1] + 1 if begun else 1}"
        path.with_suffix(".begun").touch()
        return path

    def progress(self, index: int) -> Progress | None:
        """What the index said last; None if nothing (that can be read)."""
        fields = _read(self.at(index) / "progress.json")
        try:
            return Progress(**fields) if fields is not None else None
        except TypeError:
            return None

    def failure(self, index: int) -> tuple[str, str]:
        """Reason and message that the index's process left; empty if none."""
        fields = _read(self.at(index) / "termination.json") or {}
        return str(fields.get("reason", "")), str(fields.get("message", ""))

    def forget_failure(self, index: int) -> None:
        """Before a new attempt."""
        (self.at(index) / "termination.json").unlink(missing_ok=True)

    def cancel(self) -> None:
        """Nothing of the job is started any more."""
        (self.path / "cancelled").touch()

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled it."""
        return (self.path / "cancelled").exists()

    @contextmanager
    def supervised(self) -> Generator[bool]:
        """Whether the block is the only one, on this machine, that supervises the job; it ends with the process."""
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def job_folders(folder: Path, *, prefix: str = "") -> Iterator[JobFolder]:
    """The jobs there whose names begin so, by name."""
    for path in sorted(folder.glob(f"{prefix}*/spec.json")):
        yield JobFolder(path.parent)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _write(path: Path, fields: dict[str, Any]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(fields))
    fresh.replace(path)
