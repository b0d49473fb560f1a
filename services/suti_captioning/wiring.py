"""What the service is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from suti.api.captioning.v1 import captioning_pb2, captioning_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.installed_torch import set_torch_threads
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti_captioning.servicer import CaptioningServicer
from suti_captioning.settings import CaptioningSettings
from suti_captioning.worker import captioning_work


@dataclass(frozen=True)
class Captioning:
    """The service's parts, connected and not yet started."""

    server: RpcServer
    workers: Sequence[Worker]
    models: ModelCache

    @classmethod
    def wire(cls, settings: CaptioningSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        set_torch_threads(settings.torch_threads)
        store = settings.open_store()
        key = settings.endpoint_key.get_secret_value() if settings.endpoint_key else ""
        models = ModelCache(settings.models_path, device=settings.device, endpoint_key=key, keep=settings.keep_models)
        stages = {Stage.CAPTIONING: captioning_work(bus, store, models)}
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
        server = settings.make_server()
        catalogue = ModelCatalogue.from_path(settings.models_path)
        server.add(
            captioning_pb2_grpc.add_CaptioningServiceServicer_to_server,
            CaptioningServicer(store, models, catalogue, preset=settings.preset, clip=settings.clip),
            captioning_pb2.DESCRIPTOR.services_by_name["CaptioningService"].full_name,
        )
        return cls(server=server, workers=workers, models=models)

    async def get_ready(self) -> None:
        """Models belong to runs and load with a run's first shard, so health says SERVING at once."""
        await self.server.set_serving(MODEL, serving=True)
