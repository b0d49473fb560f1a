"""What the service is made of."""

from dataclasses import dataclass
from typing import Self

from google.longrunning import operations_pb2, operations_pb2_grpc

from suti.api.experts.v1 import experts_pb2, experts_pb2_grpc
from suti.core.records import Stage
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.dead_letters import DeadLetters
from suti.infra.jobs.port import JobsBackend
from suti.infra.rpc.operations import OperationsServicer
from suti.infra.rpc.server import MODEL, RpcServer
from suti.stages.launched_work import LaunchedWork
from suti.stages.model_catalogue import ModelCatalogue
from suti_experts.servicer import ExpertsServicer
from suti_experts.settings import ExpertsSettings
from suti_experts.tunings import Tunings


@dataclass(frozen=True)
class Experts:
    """The service's parts, connected and not yet started. It launches jobs and loads no model itself."""

    server: RpcServer
    worker: Worker
    jobs: JobsBackend

    @classmethod
    def wire(cls, settings: ExpertsSettings, bus: Bus) -> Self:
        """The parts as the settings want them. Raises BadConfiguration."""
        store = settings.open_store()
        jobs = settings.open_jobs(store, launcher="suti-experts")
        work = LaunchedWork(bus, store, jobs, settings.job_plan())
        worker = Worker(
            bus,
            stage=Stage.EXPERTS,
            handle=work.handle,
            dead_letters=DeadLetters(store),
            concurrency=settings.concurrency,
            ack_wait_s=settings.ack_wait_s,
            max_deliveries=settings.max_deliveries,
            backoff_s=settings.backoff_s(),
            drain_s=settings.drain_s,
        )
        catalogue = ModelCatalogue.from_path(settings.models_path)
        tunings = Tunings(store, jobs, settings.job_plan(), catalogue, preset=settings.preset, base=settings.base)
        server = settings.make_server()
        server.add(
            experts_pb2_grpc.add_ExpertsServiceServicer_to_server,
            ExpertsServicer(tunings, preset=settings.preset),
            experts_pb2.DESCRIPTOR.services_by_name["ExpertsService"].full_name,
        )
        server.add(
            operations_pb2_grpc.add_OperationsServicer_to_server,
            OperationsServicer(tunings),
            operations_pb2.DESCRIPTOR.services_by_name["Operations"].full_name,
        )
        return cls(server=server, worker=worker, jobs=jobs)

    async def get_ready(self) -> None:
        """Jobs that an earlier process left go on; models are loaded by jobs alone, so health can say SERVING."""
        await self.jobs.recover()
        await self.server.set_serving(MODEL, serving=True)
