"""Does the shards of two stages: a crawl into raw clusters, and raw clusters into those that show one subject."""

from suti.infra.bus.connection import Bus
from suti.infra.ledger import Commit, Ledger
from suti.infra.store import Store
from suti.stages import grouping
from suti.stages.installed_torch import require_torch, set_torch_threads
from suti.stages.model_cache import ModelCache
from suti.stages.run_spec import RunSpec
from suti.stages.shard_work import Hold, ShardWork
from suti_clustering.settings import ClusteringSettings


def grouping_work(bus: Bus, store: Store, settings: ClusteringSettings) -> ShardWork:
    """Handles grouping's tickets, one per run. Without torch."""
    buckets, place = settings.crawl_buckets(), settings.grouping_place()

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        del shard  # there is only one
        return grouping.run_shard(ledger, spec, buckets=buckets, place=place, progress=hold.progress, fence=hold.fence)

    return ShardWork(bus, store, run)


def selection_work(bus: Bus, store: Store, settings: ClusteringSettings) -> ShardWork:
    """Handles selection's tickets. Raises TorchMissing."""
    require_torch("SUTI_CLUSTERING_STAGES with selection", extra="clustering-score")
    from suti.stages import selection  # noqa: PLC0415 - a process that only groups has no torch

    set_torch_threads(settings.torch_threads)
    models = ModelCache(
        settings.models_path, rules=settings.model_rules(), device=settings.device, keep=settings.keep_models
    )

    def run(ledger: Ledger, spec: RunSpec, shard: int, hold: Hold) -> Commit:
        set_torch_threads(spec.environment.torch_threads)
        return selection.run_shard(ledger, spec, models.of(spec), shard, progress=hold.progress, fence=hold.fence)

    return ShardWork(bus, store, run)
