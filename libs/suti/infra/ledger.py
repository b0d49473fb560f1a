"""The set of commits: what is true about a run. Parts come first, one conditional write makes them count."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

from suti.core import keys
from suti.core.environment import cpu_flags, package_versions
from suti.core.errors import PermanentError, RetryableError
from suti.core.fields import known_fields
from suti.core.ids import new_request_id
from suti.infra.store import ObjectMissing, Store

_FORMAT = 1  # of commit.json; raised when an older reader would misread it


class NotCommitted(RetryableError):
    """Somebody asked for a shard's result before there was one."""

    reason: ClassVar[str] = "NOT_COMMITTED"

    def __init__(self, run_id: str, stage: str, shard: int) -> None:
        super().__init__(
            f"shard {shard} of {stage} in run {run_id} is not finished: ask again later, or `suti run why`"
        )
        self.shard = shard


class PartCorrupt(PermanentError):
    """A part is not what its commit says: the store lost or changed bytes."""

    reason: ClassVar[str] = "PART_CORRUPT"
    grpc_code = "DATA_LOSS"


class CommitTooNew(PermanentError):
    """A commit was written by a later version of Suti, in a format this one does not know."""

    reason: ClassVar[str] = "COMMIT_TOO_NEW"


class CommitUnreadable(PermanentError):
    """A commit.json is damaged, or something else."""

    reason: ClassVar[str] = "COMMIT_UNREADABLE"
    grpc_code = "DATA_LOSS"


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a shard's result."""

    name: str  # unique within the commit, such as "pictures.tar"
    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A shard's result. `fence`, `seconds` and `versions` tell how it came about and are never part of a digest.

    `versions` are of the packages that results depend on, with Python's, and the processor's vector instructions.
    """

    run_id: str
    stage: str
    shard: int
    fence: str
    parts: tuple[Part, ...]  # sorted by name
    counts: dict[str, int]
    seconds: float
    versions: dict[str, str]
    details: dict[str, str] = field(default_factory=dict[str, str])

    def part(self, name: str) -> Part:
        """The part of that name. Raises ObjectMissing."""
        for part in self.parts:
            if part.name == name:
                return part
        raise ObjectMissing(f"{keys.commit(self.run_id, self.stage, self.shard)}#{name}")


class Ledger:
    """The commits of one run."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store = store
        self.run_id = run_id

    def find(self, stage: str, shard: int) -> Commit | None:
        """The shard's commit, None while there is none."""
        try:
            return _read(self.store, keys.commit(self.run_id, stage, shard))
        except ObjectMissing:
            return None

    def get(self, stage: str, shard: int) -> Commit:
        """The shard's commit. Raises NotCommitted."""
        if (commit := self.find(stage, shard)) is None:
            raise NotCommitted(self.run_id, stage, shard)
        return commit

    def is_committed(self, stage: str, shard: int) -> bool:
        """Whether the shard's result is true already. Costs no read of the commit."""
        return self.store.exists(keys.commit(self.run_id, stage, shard))

    def commits(self, stage: str) -> list[Commit]:
        """All commits of a stage, by shard."""
        names = [info.key for info in self.store.list(keys.stage(self.run_id, stage)) if _is_commit(info.key)]
        return sorted((_read(self.store, name) for name in names), key=lambda commit: commit.shard)

    def read(self, part: Part) -> bytes:
        """The part's bytes, checked against its commit. Raises PartCorrupt, ObjectMissing."""
        data = self.store.get(part.key)
        if len(data) != part.size_bytes or hashlib.sha256(data).hexdigest() != part.sha256:
            raise PartCorrupt(
                f"part {part.key!r} is not what its commit says: start a new run, and check the store's disks"
            )
        return data

    def draft(self, stage: str, shard: int, *, fence: str | None = None) -> "Draft":
        """A result to be written. `fence` names the writer; drafts that are given the same still get one each."""
        unique = new_request_id()
        return Draft(self, stage, shard, fence=f"{fence}-{unique[:8]}" if fence else unique)


class Draft:
    """A shard's result before it is true. No reader sees anything of it until `commit` won."""

    def __init__(self, ledger: Ledger, stage: str, shard: int, *, fence: str) -> None:
        self.fence = fence
        self.won = False
        self._ledger = ledger
        self._stage = stage
        self._shard = shard
        self._parts: dict[str, Part] = {}

    def write(self, name: str, data: bytes) -> Part:
        """Stores one part under this draft's fence. A name that is written again replaces the earlier bytes."""
        key = keys.part(self._ledger.run_id, self._stage, self._shard, self.fence, name)
        self._ledger.store.put(key, data)
        part = Part(name=name, key=key, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        self._parts[name] = part
        return part

    def commit(self, *, counts: Mapping[str, int], seconds: float, details: Mapping[str, str] | None = None) -> Commit:
        """Makes the parts the shard's result, unless another writer did so first.

        Returns the commit that stands: ours (`won` is True), or the winner's, and then our parts are deleted.
        """
        ledger = self._ledger
        ours = Commit(
            run_id=ledger.run_id,
            stage=self._stage,
            shard=self._shard,
            fence=self.fence,
            parts=tuple(self._parts[name] for name in sorted(self._parts)),
            counts=dict(counts),
            seconds=seconds,
            versions=dict(_versions()),
            details=dict(details or {}),
        )
        if ledger.store.create(keys.commit(ledger.run_id, self._stage, self._shard), _to_json(ours)):
            self.won = True
            return ours
        standing = ledger.get(self._stage, self._shard)
        if standing.fence == self.fence:  # our own write, whose answer was lost
            self.won = True
            return standing
        self.discard()
        return standing

    def discard(self) -> None:
        """Deletes the parts written so far."""
        for part in self._parts.values():
            self._ledger.store.delete(part.key)
        self._parts.clear()


def _is_commit(key: str) -> bool:
    # runs/<run>/<stage>/<shard>/commit.json, and nothing deeper.
    return key.endswith("/commit.json") and key.count("/") == keys.commit("run", "stage", 0).count("/")


@cache
def _versions() -> Mapping[str, str]:
    return {**package_versions(), "python": platform.python_version(), "cpu_flags": " ".join(cpu_flags())}


def _to_json(commit: Commit) -> bytes:
    return json.dumps({"format": _FORMAT, **asdict(commit)}, sort_keys=True, ensure_ascii=False, indent=1).encode()


def _read(store: Store, key: str) -> Commit:
    data = store.get(key)
    try:
        stored = cast("dict[str, Any]", json.loads(data))
        if (written := stored["format"]) > _FORMAT:
            raise CommitTooNew(f"{key} has format {written}, this version reads up to {_FORMAT}: install a newer Suti")
        known = known_fields(Commit, stored)
        known["parts"] = tuple(Part(**known_fields(Part, part)) for part in stored["parts"])
        return Commit(**known)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommitUnreadable(
            f"{key} is no commit ({error!r}): delete it and its shard is done again; check the store's disks"
        ) from error
