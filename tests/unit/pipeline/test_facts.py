"""What the ledger says is seen soon, at a cost that does not grow with what is in work."""

from pathlib import Path

import pytest

from suti.core import keys
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.facts import FactsReader
from suti.stages.run_spec import RunSpec

RUN = "01JD0000000000000000000000"
SPEC = RunSpec.model_construct(run_id=RUN, parent_run_id="")
MANY = 600  # more than twice what one read looks at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


def commit(store: Store, shard: int) -> None:
    Ledger(store, RUN).draft(Stage.EXPERTS, shard).commit(counts={"items_out": 1}, seconds=1.0)


def at_work(store: Store, *shards: int) -> None:
    for shard in shards:
        store.put(f"{keys.shard(RUN, Stage.EXPERTS, shard)}scratch/mark", b"")


def done(facts: FactsReader) -> list[int]:
    return list(facts.commits(SPEC, Stage.EXPERTS))


def test_all_that_is_committed_is_seen_by_who_looks_for_the_first_time(store: Store) -> None:
    for shard in range(300):
        commit(store, shard)

    assert done(FactsReader(store)) == list(range(300))


def test_a_commit_that_nobody_announced_is_seen_within_a_few_reads(store: Store) -> None:
    facts = FactsReader(store)
    at_work(store, *range(MANY))
    assert done(facts) == []
    commit(store, MANY - 1)

    assert done(facts) == []
    done(facts)

    assert done(facts) == [MANY - 1]


def test_a_commit_that_was_announced_is_seen_by_the_next_read(store: Store) -> None:
    facts = FactsReader(store)
    at_work(store, *range(MANY))
    done(facts)
    commit(store, MANY - 1)

    facts.hint(RUN, Stage.EXPERTS, MANY - 1)

    assert done(facts) == [MANY - 1]


def test_a_shard_that_was_dropped_is_dead_and_one_that_is_committed_all_the_same_is_done(store: Store) -> None:
    facts = FactsReader(store)
    at_work(store, 0)
    store.put(keys.dead_shard(RUN, Stage.EXPERTS, 0), b"{}")
    assert facts.read(SPEC).of(Stage.EXPERTS).dead == {0}

    commit(store, 0)

    assert set(facts.read(SPEC).of(Stage.EXPERTS).committed) == {0}
