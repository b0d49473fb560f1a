"""Runs as a store has them, for tests of what reads them: nothing was computed."""

from datetime import UTC, datetime

from suti.core import ids, keys
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec


def begun_run(store: Store) -> str:
    """A run that has its description and nothing else."""
    run_id = ids.new_run_id()
    spec = RunSpec(
        run_id=run_id,
        created_at=datetime.now(UTC),
        created_by="test",
        input=CrawlInput(url="file:///crawl.warc.gz", format="warc"),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name="clip")),
    )
    store.put(keys.run_spec(run_id), spec.model_dump_json().encode())
    return run_id


def grouped_run(store: Store) -> str:
    """A run whose crawl is grouped: 9 items in, 6 out, 3 dropped, in two shards."""
    run_id = begun_run(store)
    counts = {"shards": 2, "items_in": 9, "items_out": 6, "dropped": 3, "duplicate_near": 3}
    Ledger(store, run_id).draft(Stage.GROUPING, 0).commit(counts=counts, seconds=2)
    return run_id
