"""How many items a committed shard dropped, by reason."""

from collections import Counter
from collections.abc import Mapping

from suti.core.records import DropRow, Stage, VerdictRow
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import ObjectMissing, Store
from suti.infra.tables import from_parquet

# What the items of a stage are called in its drops. Grouping drops pages and records beside them.
ITEM_KIND: Mapping[Stage, str] = {
    Stage.GROUPING: "pair",
    Stage.SELECTION: "cluster",
    Stage.CAPTIONING: "cluster",
    Stage.EXPERTS: "cluster",
    Stage.FILTERING: "candidate",
}


# What commits count beside reasons, which are counted in lower case.
_NO_REASONS = frozenset({"items_in", "items_out", "dropped", "shards", "records_corrupt", "steps", "kept"}) | {
    f"{kind}_{way}" for kind in ("pages", "pictures", "clusters", "prompts", "candidates") for way in ("in", "out")
}


class DropCounts:
    """Counts each commit's drops once and remembers them; tables are read where the commit itself does not tell."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str, int], Counter[str]] = {}

    def of(self, commit: Commit) -> Mapping[str, int]:
        """Items of the shard that were dropped or refused, by reason."""
        key = (commit.run_id, commit.stage, commit.shard)
        if key not in self._known:
            told = told_drop_counts(commit)
            self._known[key] = read_drop_counts(Ledger(self._store, commit.run_id), commit) if told is None else told
        return self._known[key]


def told_drop_counts(commit: Commit) -> Counter[str] | None:
    """The same as far as the commit's own counts say it: None where they do not make up all that was dropped."""
    reasons = Counter({name.upper(): count for name, count in commit.counts.items() if name not in _NO_REASONS})
    return reasons if reasons.total() == commit.counts.get("dropped") else None


def read_drop_counts(ledger: Ledger, commit: Commit) -> Counter[str]:
    """Items of the shard that were dropped or refused, by reason."""
    stage = Stage(commit.stage)
    kind = ITEM_KIND.get(stage)  # the apprentice drops examples of more than one kind
    counts = Counter(row.reason for row in drops_of(ledger, commit) if kind in (None, row.kind))
    if stage is Stage.FILTERING:
        verdicts = from_parquet(ledger.read(commit.part("verdicts.parquet")), VerdictRow)
        counts.update(row.reason for row in verdicts if not row.kept)
    return counts


def drops_of(ledger: Ledger, commit: Commit) -> list[DropRow]:
    """The shard's drops, whatever their kind; none for a stage that drops nothing."""
    try:
        part = commit.part("drops.parquet")
    except ObjectMissing:
        return []
    return from_parquet(ledger.read(part), DropRow)
