"""Does the shards of two stages: a crawl into raw clusters, and raw clusters into those that show one subject."""

import torch

from suti.infra.bus.connection import Bus
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages import grouping, selection
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import RunSpec
from suti.stages.shard_work import Hold, ShardWork


def grouping_work(bus: Bus, store: Store) -> ShardWork:
    """Handles grouping's tickets, one per run."""

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        del shard  # there is only one
        return grouping.run_shard(ledger, spec, progress=hold.progress, fence=hold.fence)

    return ShardWork(bus, store, run)


def selection_work(bus: Bus, store: Store, models: ModelCache) -> ShardWork:
    """Handles selection's tickets."""

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        torch.set_num_threads(spec.environment.torch_threads)
        return selection.run_shard(ledger, spec, models.of(spec), shard, progress=hold.progress, fence=hold.fence)

    return ShardWork(bus, store, run)
