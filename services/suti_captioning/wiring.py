"""What the service is made of."""

from suti.api.captioning.v1 import captioning_pb2, captioning_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.stages.installed_torch import set_torch_threads
from suti.stages.model_cache import ModelCache
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.screens import load_screen
from suti_captioning.servicer import CaptioningServicer
from suti_captioning.settings import CaptioningSettings
from suti_captioning.worker import captioning_work


def wire(settings: CaptioningSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    set_torch_threads(settings.torch_threads)
    store = settings.open_store()
    models = ModelCache(
        settings.models_path,
        rules=settings.model_rules(),
        device=settings.device,
        endpoints=settings.endpoints,
        keep=settings.keep_models,
    )
    catalogue = ModelCatalogue.from_path(settings.models_path, settings.model_rules())
    server = settings.make_server()
    server.add(
        captioning_pb2_grpc.add_CaptioningServiceServicer_to_server,
        CaptioningServicer(
            store,
            models,
            catalogue,
            preset=settings.preset,
            clip=settings.clip,
            max_waiting=settings.max_waiting,
        ),
        captioning_pb2.DESCRIPTOR.services_by_name["CaptioningService"].full_name,
    )
    work = captioning_work(bus, store, models, screen=load_screen(settings.screen))
    return Service(server, workers=[settings.make_worker(bus, store, stage=Stage.CAPTIONING, handle=work.handle)])
