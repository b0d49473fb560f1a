"""What the service is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from google.longrunning import operations_pb2, operations_pb2_grpc

from suti.api.clustering.v1 import clustering_pb2, clustering_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.rpc.operations import OperationsServicer
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.model_cache import ModelCache
from suti_clustering.groupings import Groupings
from suti_clustering.servicer import ClusteringServicer
from suti_clustering.settings import ClusteringSettings
from suti_clustering.worker import grouping_work, selection_work


@dataclass(frozen=True)
class Clustering:
    """The service's parts, connected and not yet started."""

    server: RpcServer
    workers: Sequence[Worker]
    models: ModelCache

    @classmethod
    def wire(cls, settings: ClusteringSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        torch.set_num_threads(settings.torch_threads)
        store = settings.open_store()
        models = ModelCache(settings.models_path, device=settings.device, keep=settings.keep_models)
        stages = {Stage.GROUPING: grouping_work(bus, store), Stage.SELECTION: selection_work(bus, store, models)}
        workers = [
            Worker(
                bus,
                stage=stage,
                handle=work.handle,
                dead_letters=DeadLetters(store),
                ack_wait_s=settings.ack_wait_s,
                max_deliveries=settings.max_deliveries,
                backoff_s=settings.backoff_s(),
                drain_s=settings.drain_s,
            )
            for stage, work in stages.items()
        ]
        server, groupings = settings.make_server(), Groupings(store, bus)
        server.add(
            clustering_pb2_grpc.add_ClusteringServiceServicer_to_server,
            ClusteringServicer(store, groupings),
            clustering_pb2.DESCRIPTOR.services_by_name["ClusteringService"].full_name,
        )
        server.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(groupings),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"].full_name,
        )
        return cls(server=server, workers=workers, models=models)

    async def get_ready(self) -> None:
        """Models belong to runs and load with a run's first shard, so health says SERVING at once."""
        await self.server.set_serving(MODEL, serving=True)
