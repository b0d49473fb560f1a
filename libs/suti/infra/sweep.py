"""Takes away what dead workers left: parts that no commit names. Bytes are lost room, never a wrong result."""

from datetime import datetime, timedelta

from suti.core import keys
from suti.infra.ledger import Ledger
from suti.infra.store import ObjectInfo, Store

# Longer than any shard works, so that no living writer's parts are taken.
ABANDONED_AFTER = timedelta(days=7)


def sweep_parts(store: Store, run_id: str, *, now: datetime, older_than: timedelta = ABANDONED_AFTER) -> list[str]:
    """Deletes the run's parts that are older than that and named by no commit; returns their keys.

    A part of a commit is never deleted, nor one whose writer wrote another part since. A writer that writes nothing for
    longer than `older_than` may lose its parts and then commits names of nothing, so keep the limit well above that.
    """
    writers: dict[str, list[ObjectInfo]] = {}  # the folder of one writer's parts -> its parts
    for info in store.list(f"{keys.RUNS}{run_id}/"):
        shard_folder, is_part, name = info.key.partition("/parts/")
        if is_part:
            writers.setdefault(f"{shard_folder}/parts/{name.partition('/')[0]}", []).append(info)
    swept: list[str] = []
    for folder, parts in writers.items():
        if now - max(part.modified for part in parts) < older_than:
            continue
        stage, shard = folder.split("/")[-4:-2]
        commit = Ledger(store, run_id).find(stage, int(shard))
        standing = {part.key for part in commit.parts} if commit else set[str]()
        for part in parts:
            if part.key not in standing:
                store.delete(part.key)
                swept.append(part.key)
    return swept
