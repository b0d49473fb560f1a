"""Does captioning's shards: texts for pictures, target prompts for clusters."""

from suti.infra.bus.connection import Bus
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages import captioning
from suti.stages.installed_torch import set_torch_threads
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import RunSpec
from suti.stages.shard_work import Hold, ShardWork


def captioning_work(
    bus: Bus, store: Store, models: ModelCache, *, screen: captioning.Screen | None = None
) -> ShardWork:
    """Handles captioning's tickets."""

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        set_torch_threads(spec.environment.torch_threads)
        return captioning.run_shard(
            ledger, spec, models.of(spec), shard, progress=hold.progress, fence=hold.fence, screen=screen
        )

    return ShardWork(bus, store, run)
