"""What the service is made of. It launches jobs and loads no model itself."""

from suti.api.experts.v1 import experts_pb2, experts_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.stages.launched_work import LaunchedWork
from suti.stages.model_catalogue import ModelCatalogue
from suti.stages.waves import Waves
from suti_experts.servicer import ExpertsServicer
from suti_experts.settings import ExpertsSettings
from suti_experts.tunings import Tunings


def wire(settings: ExpertsSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    store = settings.open_store()
    jobs, plan = settings.open_jobs(store, launcher="suti-experts"), settings.job_plan("suti_experts.job")
    catalogue = ModelCatalogue.from_path(settings.models_path, settings.model_rules())
    tunings = Tunings(store, jobs, plan, catalogue, preset=settings.preset, base=settings.base)
    server = settings.make_server()
    server.add(
        experts_pb2_grpc.add_ExpertsServiceServicer_to_server,
        ExpertsServicer(tunings, preset=settings.preset),
        experts_pb2.DESCRIPTOR.services_by_name["ExpertsService"].full_name,
    )
    server.add_operations(tunings)
    waves = Waves(bus, store, jobs, plan, stage=Stage.EXPERTS, gathering=settings.gathering())
    handle = LaunchedWork(bus, store, waves).handle
    worker = settings.make_worker(
        bus, store, stage=Stage.EXPERTS, handle=handle, concurrency=settings.concurrency, outlives_worker=True
    )
    return Service(
        server, workers=[worker], tasks=[tunings.keep_going, waves.keep_tidy], prepare=jobs.recover, close=jobs.close
    )
