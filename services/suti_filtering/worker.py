"""Does filtering's shards: candidates judged, or in a child run judged anew from the parent's scores."""

import torch

from suti.infra.bus.connection import Bus
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages import filtering
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import RunSpec
from suti.stages.shard_work import Hold, ShardWork


def filtering_work(bus: Bus, store: Store, models: ModelCache) -> ShardWork:
    """Handles filtering's tickets."""

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        if spec.parent_run_id:
            parent = Ledger(store, spec.parent_run_id)
            return filtering.replay(ledger, spec, shard, parent=parent, progress=hold.progress, fence=hold.fence)
        torch.set_num_threads(spec.environment.torch_threads)
        return filtering.run_shard(ledger, spec, models.of(spec), shard, progress=hold.progress, fence=hold.fence)

    return ShardWork(bus, store, run)
