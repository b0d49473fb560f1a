"""What the service is made of."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from suti.api.clustering.v1 import clustering_pb2, clustering_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.rpc.server import MODEL, RpcServer
from suti.infra.store import Store
from suti.stages.installed_torch import has_torch
from suti.stages.shard_work import ShardWork
from suti_clustering.groupings import Groupings
from suti_clustering.servicer import ClusteringServicer
from suti_clustering.settings import ClusteringSettings
from suti_clustering.worker import grouping_work, selection_work

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clustering:
    """The service's parts, connected and not yet started."""

    server: RpcServer
    workers: Sequence[Worker]

    @classmethod
    def wire(cls, settings: ClusteringSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        store = settings.open_store()
        server = settings.make_server()
        groupings = Groupings(store, bus)
        server.add(
            clustering_pb2_grpc.add_ClusteringServiceServicer_to_server,
            ClusteringServicer(store, groupings),
            clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name,
        )
        server.add_operations(groupings)
        workers = [
            settings.make_worker(bus, store, stage=stage, handle=work.handle)
            for stage, work in _works(settings, bus, store).items()
        ]
        return cls(server=server, workers=workers)

    async def get_ready(self) -> None:
        """Models belong to runs and load with a run's first shard, so health says SERVING at once."""
        await self.server.set_serving(MODEL, serving=True)


def _works(settings: ClusteringSettings, bus: Bus, store: Store) -> dict[Stage, ShardWork]:
    """The stages that this process works on."""
    works: dict[Stage, ShardWork] = {}
    wanted = settings.stages or ("both" if has_torch() else "grouping")
    if wanted in {"grouping", "both"}:
        works[Stage.GROUPING] = grouping_work(bus, store)
    if wanted in {"selection", "both"}:
        works[Stage.SELECTION] = selection_work(bus, store, settings)
    _log.info("takes tickets of %s", " and ".join(works))
    return works
