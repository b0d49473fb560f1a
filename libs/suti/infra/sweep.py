"""Takes away what dead workers left: parts that no commit names. Bytes are lost room, never a wrong result."""

from datetime import datetime, timedelta

from suti.core import keys
from suti.infra.ledger import Ledger
from suti.infra.store import Store

# Longer than any shard works, so that no living writer's parts are taken.
ABANDONED_AFTER = timedelta(days=7)


def sweep_parts(store: Store, run_id: str, *, now: datetime, older_than: timedelta = ABANDONED_AFTER) -> list[str]:
    """Deletes the run's parts that are older than that and named by no commit; returns their keys.

    A part of a commit is never deleted. A writer that works for longer than `older_than` may lose its parts and then
    commits names of nothing, so keep the limit well above the longest shard.
    """
    ledger = Ledger(store, run_id)
    committed: dict[str, frozenset[str]] = {}  # shard's folder -> keys of its parts
    swept: list[str] = []
    for info in store.list(f"{keys.RUNS}{run_id}/"):
        shard_folder, is_part, _ = info.key.partition("/parts/")
        if not is_part or now - info.modified < older_than:
            continue
        if shard_folder not in committed:
            stage, shard = shard_folder.split("/")[-2:]
            commit = ledger.find(stage, int(shard))
            committed[shard_folder] = frozenset(part.key for part in commit.parts) if commit else frozenset()
        if info.key not in committed[shard_folder]:
            store.delete(info.key)
            swept.append(info.key)
    return swept
