"""Shards that were done under different software are named, and nobody else."""

import json
from pathlib import Path

from suti.core import keys
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.environments import differing_environments


def commit(ledger: Ledger, shard: int, **changes: str) -> None:
    """A shard of experts, done under the versions of this process but for the changes."""
    ledger.draft("experts", shard).commit(counts={}, seconds=0.0, details={"device": changes.pop("device", "cpu")})
    key = keys.commit(ledger.run_id, "experts", shard)
    fields = json.loads(ledger.store.get(key))
    fields["versions"] |= changes
    ledger.store.put(key, json.dumps(fields).encode())


def test_shards_that_were_done_alike_are_no_cause_for_a_warning(tmp_path: Path) -> None:
    ledger = Ledger(Store.open(f"file://{tmp_path}"), "01RUN")
    commit(ledger, 0)
    commit(ledger, 1)

    assert differing_environments(ledger) == []


def test_what_differs_from_the_first_shard_is_named_with_a_shard(tmp_path: Path) -> None:
    ledger = Ledger(Store.open(f"file://{tmp_path}"), "01RUN")
    commit(ledger, 0)
    commit(ledger, 1, torch="1.0")
    commit(ledger, 2, torch="1.0", cpu_flags="avx")
    commit(ledger, 3, device="cuda")

    (warning,) = differing_environments(ledger)

    assert warning.startswith("experts: not all of its 4 shards")
    assert "cpu_flags (1, such as shard 2), device (1, such as shard 3), torch (2, such as shard 1)" in warning
