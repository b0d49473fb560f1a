"""Takes away what nobody will ask for: dead workers' parts, scratch of finished shards, drawings of long ago.

Bytes are lost room, never a wrong result.
"""

from collections.abc import Iterable, Mapping
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
    parts: dict[str, list[ObjectInfo]] = {}  # the folder of one writer's parts -> its parts
    scratch: dict[str, list[ObjectInfo]] = {}  # the folder of a shard's scratch -> its objects
    for info in store.list(f"{keys.RUNS}{run_id}/"):
        shard_folder, is_part, name = info.key.partition("/parts/")
        if is_part:
            parts.setdefault(f"{shard_folder}/parts/{name.partition('/')[0]}", []).append(info)
            continue
        shard_folder, is_scratch, _ = info.key.partition("/scratch/")
        if is_scratch:
            scratch.setdefault(f"{shard_folder}/scratch", []).append(info)
    ledger = Ledger(store, run_id)
    swept: list[str] = []
    for folder, objects in _rested(parts, now - older_than):
        stage, shard = folder.split("/")[-4:-2]
        commit = ledger.find(stage, int(shard))
        standing = {part.key for part in commit.parts} if commit else set[str]()
        swept += [info.key for info in objects if info.key not in standing]
    for folder, objects in _rested(scratch, now - older_than):
        stage, shard = folder.split("/")[-3:-1]
        if ledger.find(stage, int(shard)) is not None:
            swept += [info.key for info in objects]
    for key in swept:
        store.delete(key)
    return swept


def sweep_drawn(store: Store, *, now: datetime, older_than: timedelta) -> int:
    """Deletes records and pictures of requests that were answered before; how many objects."""
    old = [info.key for info in store.list(keys.DRAWN) if now - info.modified > older_than]
    for key in old:
        store.delete(key)
    return len(old)


def _rested(folders: Mapping[str, list[ObjectInfo]], since: datetime) -> Iterable[tuple[str, list[ObjectInfo]]]:
    """The folders into which nobody has written since then."""
    return ((name, objects) for name, objects in folders.items() if max(info.modified for info in objects) <= since)
