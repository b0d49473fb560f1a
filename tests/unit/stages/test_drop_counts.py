"""How many were dropped for which reason: by a commit's own counts where they tell all, else by its tables."""

from pathlib import Path

import pytest

from suti.core.records import DropRow, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import to_parquet
from suti.stages.drop_counts import DropCounts

RUN = "01JD0000000000000000000000"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


def committed(store: Store, counts: dict[str, int], *reasons: str) -> Commit:
    draft = Ledger(store, RUN).draft(Stage.CAPTIONING, 0)
    rows = [DropRow("cluster", f"{place}", reason, None, "", "") for place, reason in enumerate(reasons)]
    draft.write("drops.parquet", to_parquet(rows, DropRow))
    return draft.commit(counts=counts, seconds=0)


def test_a_commit_that_tells_all_reasons_costs_no_read(store: Store) -> None:
    counts = {"items_in": 9, "items_out": 4, "dropped": 5, "pictures_out": 7, "too_few": 3, "tombstoned": 2}
    commit = committed(store, counts)
    store.delete(commit.part("drops.parquet").key)

    assert DropCounts(store).of(commit) == {"TOO_FEW": 3, "TOMBSTONED": 2}


def test_reasons_that_a_commit_does_not_tell_are_counted_in_its_table(store: Store) -> None:
    commit = committed(store, {"items_in": 9, "items_out": 7, "dropped": 2}, "TOO_FEW", "TOO_FEW")

    assert DropCounts(store).of(commit) == {"TOO_FEW": 2}


def test_a_number_that_is_no_reason_is_not_taken_for_one(store: Store) -> None:
    commit = committed(store, {"items_in": 9, "items_out": 8, "dropped": 1, "minutes": 3}, "TOO_FEW")

    assert DropCounts(store).of(commit) == {"TOO_FEW": 1}


def test_a_table_that_is_gone_is_no_empty_table(store: Store) -> None:
    commit = committed(store, {"items_in": 9, "items_out": 8, "dropped": 1}, "TOO_FEW")
    store.delete(commit.part("drops.parquet").key)

    with pytest.raises(ObjectMissing):
        DropCounts(store).of(commit)
