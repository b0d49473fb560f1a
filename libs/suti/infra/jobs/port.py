"""The port to whatever runs jobs: local subprocesses, or Kubernetes Indexed Jobs. Both keep the same contract.

Towards the process: it is told `SUTI_JOB_NAME`, `SUTI_JOB_INDEX` (its index), `TRACEPARENT`, `SUTI_TERMINATION_FILE`,
and where to say how far it is: `SUTI_PROGRESS_FILE`, or on Kubernetes `SUTI_PROGRESS_PREFIX` in the store. Kubernetes
counts completions from 0; where the indexes are others (`3, 7, 9`), `SUTI_JOB_INDEX` is unset there and the process
finds its own by its place, `JOB_COMPLETION_INDEX`, in `SUTI_JOB_INDEXES` (`suti.infra.jobs.entry` does).
SIGTERM means: stop at the next good place and exit 143. Its exit code is one of `suti.core.errors.ExitCode`: 0 done; 65
this index failed for good; 78 the whole job failed; 143 stopped, start again at no cost; 75 or anything else (a crash):
start again, up to `attempts_per_index` times in all. "At no cost" means that no attempt is counted; Kubernetes waits
before it starts again (10 s, doubled each time, up to 6 minutes).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from suti.core.errors import InvalidArgument, PermanentError

_DNS_1123 = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class JobNameTaken(PermanentError):
    """There is a job of that name already, and it is another one."""

    reason: ClassVar[str] = "JOB_NAME_TAKEN"
    grpc_code = "ALREADY_EXISTS"


class JobState(StrEnum):
    """Where a job, or one index of it, is."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class GangSize:
    """Several processes that do one index together, started by torchrun; on one machine all of them are there."""

    pods: int
    processes: int  # of each pod, with a device each


@dataclass(frozen=True)
class JobSpec:
    """One job: the same command for each index.

    Raises:
        InvalidArgument: a name that Kubernetes would not take, no index, a number out of range, or work that is none
            for a gang: more than one index, a command that is no `python -m program`.
    """

    name: str  # deterministic, DNS-1123 label, at most 63 characters: the same work has the same name
    command: tuple[str, ...]
    indexes: tuple[int, ...]  # index = shard; ascending
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    parallelism: int = 1  # indexes at a time
    attempts_per_index: int = 3  # failed ones; being stopped (143) counts for nothing
    resources: Mapping[str, str] = field(default_factory=dict[str, str])  # Kubernetes quantities: {"cpu": "2"}
    deadline_s: float | None = None  # from the start (where jobs queue: once let in) to the end of all; then it failed
    gang: GangSize | None = None

    def __post_init__(self) -> None:
        if not _DNS_1123.fullmatch(self.name):
            raise InvalidArgument("name", f"{self.name!r} is no DNS-1123 label: use a-z, 0-9 and -, at most 63")
        if not self.command:
            raise InvalidArgument("command", "is empty: name the program to run")
        if not self.indexes or list(self.indexes) != sorted(set(self.indexes)) or self.indexes[0] < 0:
            raise InvalidArgument("indexes", "must ascend from 0 or above, at least one: give each shard once")
        if self.parallelism < 1 or self.attempts_per_index < 1:
            raise InvalidArgument("parallelism, attempts_per_index", "must be at least 1")
        if self.gang is not None:
            _check_gang(self, self.gang)


def _check_gang(spec: JobSpec, gang: GangSize) -> None:
    if len(spec.indexes) != 1:
        raise InvalidArgument("indexes", f"{len(spec.indexes)} of them: a gang works on one shard")
    if len(spec.command) < 3 or spec.command[1] != "-m":
        raise InvalidArgument("command", f"{spec.command!r} is no `python -m program`: torchrun starts such alone")
    if gang.pods < 1 or gang.processes < 1:
        raise InvalidArgument("pods, processes", "must be at least 1")


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One index of a job."""

    state: JobState
    exit_code: int | None = None  # of the last attempt that ended
    attempts: int = 0  # started ones that were not stopped from outside
    reason: str = ""  # the error's stable reason, or why the backend ended it
    message: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job and its indexes."""

    state: JobState
    indexes: Mapping[int, IndexStatus]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one index is, as its process said last."""

    done: int
    total: int
    note: str = ""


class Jobs(Protocol):
    """What a launcher may ask of a backend. Every call is safe to repeat."""

    async def start(self, spec: JobSpec) -> None:
        """The job runs from now on, unless it ran already: the same name is never a second job.

        Raises:
            JobNameTaken: the name belongs to a job with another command or other indexes.
        """
        ...

    async def standing(self, prefix: str) -> Mapping[str, tuple[int, ...]]:
        """The jobs whose names begin so, ended ones too, and the indexes of each. A moment old, so one may be new."""
        ...

    async def status(self, name: str) -> JobStatus | None:
        """Where the job is; None if there is none of that name."""
        ...

    async def cancel(self, name: str) -> None:
        """Its processes are asked to stop, then killed; it ends as CANCELLED. No error if it ended or never was."""
        ...

    async def forget(self, name: str) -> None:
        """An ended job is as if it had never been: its name may be used anew. One that runs is left alone."""
        ...

    async def logs(self, name: str, index: int) -> str:
        """What the index's attempts wrote, the last at the end; empty if nothing or no such index."""
        ...

    async def progress(self, name: str) -> Mapping[int, Progress]:
        """How far each index is that said so."""
        ...

    async def waits_for(self, name: str) -> str:
        """What keeps the job, or some of its indexes, from running, in words; empty if nothing, or no such job."""
        ...

    async def release(self, name: str) -> None:
        """Its result is safe (committed): the backend may forget the ended job when it likes. No error if gone."""
        ...


class JobsBackend(Jobs, Protocol):
    """The same, as the process sees it that owns the backend."""

    async def recover(self) -> list[str]:
        """Goes on with every job that has not ended; called when the launcher starts. Returns their names."""
        ...

    async def close(self) -> None:
        """Lets go. The jobs go on: by themselves, or with the next launcher."""
        ...
