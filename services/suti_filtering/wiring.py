"""What the service is made of."""

import torch

from suti.api.filtering.v1 import filtering_pb2, filtering_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti_filtering.servicer import FilteringServicer
from suti_filtering.settings import FilteringSettings
from suti_filtering.worker import filtering_work


def wire(settings: FilteringSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    torch.set_num_threads(settings.torch_threads)
    store = settings.open_store()
    models = ModelCache(
        settings.models_path, rules=settings.model_rules(), device=settings.device, keep=settings.keep_models
    )
    catalogue = ModelCatalogue.from_path(settings.models_path, settings.model_rules())
    server = settings.make_server()
    server.add(
        filtering_pb2_grpc.add_FilteringServiceServicer_to_server,
        FilteringServicer(
            store,
            models,
            catalogue,
            preset=settings.preset,
            clip=settings.clip,
            max_waiting=settings.max_waiting,
        ),
        filtering_pb2.DESCRIPTOR.services_by_name["FilteringService"].full_name,
    )
    work = filtering_work(bus, store, models)
    return Service(server, workers=[settings.make_worker(bus, store, stage=Stage.FILTERING, handle=work.handle)])
