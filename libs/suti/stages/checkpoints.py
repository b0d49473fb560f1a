"""Finished apprentices: what there are, which is used by default, and who said so. No torch here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ulid import ULID

from suti.core import keys
from suti.core.errors import NotFound
from suti.core.records import ExampleRow, PictureRow, Stage
from suti.infra.ledger import Commit, Ledger, PartCorrupt
from suti.infra.store import ObjectMissing, Store
from suti.infra.tombstones import Tombstones, load_tombstones
from suti.stages.lineage import ShardRows
from suti.stages.outcome import weights_sha256
from suti.stages.run_spec import RunSpec, load_run_spec
from suti.stages.stage_times import finished_at


@dataclass(frozen=True, slots=True)
class Promotion:
    """Somebody made a checkpoint the default."""

    run_id: str
    checkpoint_id: str
    promoted_at: datetime
    promoted_by: str


@dataclass(frozen=True, slots=True)
class FinishedApprentice:
    """One trained model in the store."""

    checkpoint_id: str  # SHA-256 over its weights
    spec: RunSpec
    commit: Commit
    at: datetime
    promoted: bool  # whether it is the default now
    promotion: Promotion | None  # its last
    affected_by_tombstones: bool


class Checkpoints:
    """All finished apprentices of a store. Calls block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, *, run_id: str = "") -> list[FinishedApprentice]:
        """Newest first; of one run if asked."""
        promoted, history = self.promoted(), self._history()
        tombstones = load_tombstones(self._store)
        found: list[FinishedApprentice] = []
        for one in [run_id] if run_id else self._store.folders(keys.RUNS):
            commit = Ledger(self._store, one).find(Stage.APPRENTICE, 0)
            if commit is None:
                continue
            name, spec = weights_sha256(commit), load_run_spec(self._store, one)
            found.append(
                FinishedApprentice(
                    checkpoint_id=name,
                    spec=spec,
                    commit=commit,
                    at=finished_at(commit) or spec.created_at,
                    promoted=promoted is not None and promoted.checkpoint_id == name,
                    promotion=history.get(name),
                    affected_by_tombstones=self._affected(spec, tombstones),
                )
            )
        return sorted(found, key=lambda one: (one.at, one.checkpoint_id), reverse=True)

    def find(self, checkpoint_id: str) -> FinishedApprentice:
        """The one of that id. Raises NotFound."""
        for one in self.list():
            if one.checkpoint_id == checkpoint_id:
                return one
        raise NotFound("checkpoint", checkpoint_id[:80], remedy="see ListCheckpoints for those that there are")

    def promote(self, checkpoint_id: str, *, by: str) -> FinishedApprentice:
        """Make it the default from now on; what was before stays in the history.

        Raises:
            NotFound: there is no such checkpoint.
            ObjectMissing, PartCorrupt: a file of it is gone or cut short, so that nobody could draw with it.
        """
        chosen = self.find(checkpoint_id)
        for part in chosen.commit.parts:
            if self._store.size(part.key) != part.size_bytes:
                raise PartCorrupt(
                    f"part {part.key!r} has another size than its commit says: promote another, or train anew"
                )
        record = {
            "run_id": chosen.spec.run_id,
            "checkpoint_id": checkpoint_id,
            "promoted_at": datetime.now(UTC).isoformat(),
            "promoted_by": by,
        }
        data = json.dumps(record, indent=1, ensure_ascii=False).encode()
        self._store.put(keys.promotion(str(ULID())), data)
        self._store.put(keys.PROMOTED_MODEL, data)
        return self.find(checkpoint_id)

    def promoted(self) -> Promotion | None:
        """The last promotion, None before the first."""
        try:
            return _promotion(json.loads(self._store.get(keys.PROMOTED_MODEL)))
        except ObjectMissing:
            return None

    def _history(self) -> Mapping[str, Promotion]:
        """The last promotion of each checkpoint; keys sort by time."""
        found: dict[str, Promotion] = {}
        for info in self._store.list(keys.promotion("").rpartition("/")[0]):
            one = _promotion(json.loads(self._store.get(info.key)))
            found[one.checkpoint_id] = one
        return found

    def _affected(self, spec: RunSpec, tombstones: Tombstones) -> bool:
        if not tombstones.urls and not tombstones.picture_ids:
            return False
        for commit in Ledger(self._store, spec.run_id).commits(Stage.FILTERING):
            rows = ShardRows(self._store, spec, commit.shard)
            learnt = {row.cluster_id for row in rows.read(Stage.FILTERING, "examples.parquet", ExampleRow)}
            for row in rows.read(Stage.SELECTION, "clusters.parquet", PictureRow):
                if row.cluster_id in learnt and tombstones.covers_row(row):
                    return True
        return False


def _promotion(fields: Mapping[str, Any]) -> Promotion:
    return Promotion(
        run_id=fields["run_id"],
        checkpoint_id=fields["checkpoint_id"],
        promoted_at=datetime.fromisoformat(fields["promoted_at"]),
        promoted_by=fields["promoted_by"],
    )
