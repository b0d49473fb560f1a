"""What the service is made of."""

from dataclasses import dataclass
from typing import Self

from google.longrunning import operations_pb2, operations_pb2_grpc

from suti.api.apprentice.v1 import apprentice_pb2, apprentice_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.port import JobsBackend
from suti.infra.rpc.operations import OperationsServicer
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.launched_work import LaunchedWork
from suti_apprentice.servicer import ApprenticeServicer
from suti_apprentice.settings import ApprenticeSettings
from suti_apprentice.trainings import Trainings
from suti_apprentice.worker import TrainingWork


@dataclass(frozen=True)
class Apprentice:
    """The service's parts, connected and not yet started. It launches jobs and loads no model itself."""

    server: RpcServer
    worker: Worker
    jobs: JobsBackend

    @classmethod
    def wire(cls, settings: ApprenticeSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        store = settings.open_store()
        jobs = settings.open_jobs(store, launcher="suti-apprentice")
        work = TrainingWork(store, LaunchedWork(bus, store, jobs, settings.job_plan()))
        worker = Worker(
            bus,
            stage=Stage.APPRENTICE,
            handle=work.handle,
            dead_letters=DeadLetters(store),
            concurrency=settings.concurrency,
            ack_wait_s=settings.ack_wait_s,
            max_deliveries=settings.max_deliveries,
            backoff_s=settings.backoff_s(),
            drain_s=settings.drain_s,
        )
        server, trainings = settings.make_server(), Trainings(store, bus, jobs)
        server.add(
            apprentice_pb2_grpc.add_ApprenticeServiceServicer_to_server,
            ApprenticeServicer(store, trainings),
            apprentice_pb2.DESCRIPTOR.services_by_name["ApprenticeService"].full_name,
        )
        server.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(trainings),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"].full_name,
        )
        return cls(server=server, worker=worker, jobs=jobs)

    async def get_ready(self) -> None:
        """Jobs that an earlier process left go on; models are loaded by jobs alone, so health can say SERVING."""
        await self.jobs.recover()
        await self.server.set_serving(MODEL, serving=True)
