"""Takes away what nobody will ask for: dead workers' parts, scratch of finished shards, drawings of long ago.

Bytes are lost room, never a wrong result.
"""

from datetime import datetime, timedelta

from suti.core import keys
from suti.infra.ledger import Ledger
from suti.infra.store import ObjectInfo, Store

# Longer than any shard works, so that no living writer's parts are taken.
ABANDONED_AFTER = timedelta(days=7)


def sweep_run(store: Store, run_id: str, *, now: datetime, older_than: timedelta = ABANDONED_AFTER) -> list[str]:
    """Deletes a run's parts that no commit names, and scratch of committed shards, that are older; returns their keys.

    A part of a commit is never deleted, nor one whose writer wrote another part since; scratch of a shard without a
    commit stays, for somebody may go on with it. A writer that writes nothing for longer than `older_than` may lose its
    parts and then commits names of nothing, so keep the limit well above that.
    """
    left: dict[tuple[str, str, str], list[ObjectInfo]] = {}  # by stage, shard and writer; scratch has no writer
    for info in store.list(f"{keys.RUNS}{run_id}/"):
        match info.key.split("/"):
            case [_, _, stage, shard, "parts", writer, *_]:
                left.setdefault((stage, shard, writer), []).append(info)
            case [_, _, stage, shard, "scratch", *_]:
                left.setdefault((stage, shard, ""), []).append(info)
            case _:
                pass
    ledger = Ledger(store, run_id)
    swept: list[str] = []
    for (stage, shard, writer), objects in left.items():
        if now - max(info.modified for info in objects) < older_than:
            continue
        commit = ledger.find(stage, int(shard))
        if commit is None and not writer:
            continue
        standing = {part.key for part in commit.parts} if commit else set[str]()
        for info in objects:
            if info.key not in standing:
                store.delete(info.key)
                swept.append(info.key)
    return swept


def sweep_drawn(store: Store, *, now: datetime, older_than: timedelta) -> int:
    """Deletes records and pictures of requests that were answered before; how many objects."""
    old = [info.key for info in store.list(keys.DRAWN) if now - info.modified > older_than]
    for key in old:
        store.delete(key)
    return len(old)
