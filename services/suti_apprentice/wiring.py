"""What the service is made of. It launches jobs and loads no model itself."""

from suti.api.apprentice.v1 import apprentice_pb2, apprentice_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.stages.launched_work import LaunchedWork
from suti.stages.waves import Gathering, Waves
from suti_apprentice.servicer import ApprenticeServicer
from suti_apprentice.settings import ApprenticeSettings
from suti_apprentice.trainings import Trainings
from suti_apprentice.worker import TrainingWork


def wire(settings: ApprenticeSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    store = settings.open_store()
    jobs, plan = settings.open_jobs(store, launcher="suti-apprentice"), settings.training_plan()
    trainings = Trainings(store, bus, jobs)
    server = settings.make_server()
    server.add(
        apprentice_pb2_grpc.add_ApprenticeServiceServicer_to_server,
        ApprenticeServicer(store, trainings),
        apprentice_pb2.DESCRIPTOR.services_by_name["ApprenticeService"].full_name,
    )
    server.add_operations(trainings)
    waves = Waves(bus, store, jobs, plan, stage=Stage.APPRENTICE, gathering=Gathering(wait_s=0.0, most=1))
    handle = TrainingWork(store, LaunchedWork(bus, store, waves)).handle
    worker = settings.make_worker(
        bus, store, stage=Stage.APPRENTICE, handle=handle, concurrency=settings.concurrency, outlives_worker=True
    )
    return Service(server, workers=[worker], tasks=[waves.keep_tidy], prepare=jobs.recover, close=jobs.close)
