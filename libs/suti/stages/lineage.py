"""Which run's ledger a stage is read from: a child run takes what its parent drew and judges it anew."""

from dataclasses import dataclass

from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.infra.tables import Row, from_parquet
from suti.stages.run_spec import RunSpec

# What a child run never does itself.
INHERITED = frozenset({Stage.GROUPING, Stage.SELECTION, Stage.CAPTIONING, Stage.EXPERTS})


def inherited_stages(spec: RunSpec) -> frozenset[Stage]:
    """The stages that are the parent's; none for a run without one."""
    return INHERITED if spec.parent_run_id else frozenset()


def ledger_of(store: Store, spec: RunSpec, stage: Stage) -> Ledger:
    """The ledger that has this stage's commits for this run."""
    return Ledger(store, spec.parent_run_id if stage in inherited_stages(spec) else spec.run_id)


@dataclass(frozen=True)
class ShardRows:
    """The tables of one shard through all stages, wherever they lie."""

    store: Store
    spec: RunSpec
    shard: int

    def read[R: Row](self, stage: Stage, part: str, row_type: type[R]) -> list[R]:
        """The rows of a committed part. Raises NotCommitted."""
        ledger = ledger_of(self.store, self.spec, stage)
        return from_parquet(ledger.read(ledger.get(stage, self.shard).part(part)), row_type)
