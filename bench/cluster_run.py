"""A run whose experts are next: everything before them is committed, with nothing in it."""

from datetime import UTC, datetime

from suti.core import keys
from suti.core.ids import new_run_id
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec


def prepare_run(store: Store, *, shards: int) -> RunSpec:
    """The run's description, not yet in the store: the run begins when `begin_run` puts it there."""
    run_id = new_run_id()
    model = ModelRef(name="none")
    spec = RunSpec(
        run_id=run_id,
        created_at=datetime.now(UTC),
        created_by="bench",
        input=CrawlInput(url="file:///none", format="warc"),
        models=Models(base=model, clip=model),
    )
    ledger = Ledger(store, run_id)
    counts = {"items_in": 100, "items_out": 100, "dropped": 0}
    ledger.draft(Stage.GROUPING, 0).commit(counts={**counts, "shards": shards}, seconds=1.0)
    for stage in (Stage.SELECTION, Stage.CAPTIONING):
        for shard in range(shards):
            ledger.draft(stage, shard).commit(counts=counts, seconds=1.0)
    return spec


def begin_run(store: Store, spec: RunSpec) -> None:
    """The pipeline sees it from now on."""
    store.put(keys.run_spec(spec.run_id), spec.model_dump_json().encode())
