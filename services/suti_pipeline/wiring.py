"""What the service is made of."""

from datetime import timedelta

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.bus.connection import Bus
from suti.infra.service import Service
from suti.stages.model_catalogue import ModelCatalogue
from suti_pipeline.controller import Controller
from suti_pipeline.evaluations import Evaluations
from suti_pipeline.runs import Runs
from suti_pipeline.servicer import PipelineServicer
from suti_pipeline.settings import PipelineSettings
from suti_pipeline.study import Study
from suti_pipeline.sweeper import Sweeper


def wire(settings: PipelineSettings, bus: Bus) -> Service:
    """The parts as the settings want them. Raises BadConfiguration."""
    store = settings.open_store()
    controller = Controller(store, bus, reconcile_s=settings.reconcile_s, reissue_s=settings.reissue_s)
    models = ModelCatalogue.from_path(settings.models_path, settings.model_rules())
    roots = tuple(root.strip() for root in settings.crawl_roots.split(",") if root.strip())
    evaluations = Evaluations(store, bus)
    study = Study(store, models, settings.accelerators, roots)
    server = settings.make_server()
    server.add(
        pipeline_pb2_grpc.add_PipelineServiceServicer_to_server,
        PipelineServicer(
            store,
            bus,
            controller,
            Runs(store, models, crawl_roots=roots),
            study,
            evaluations=evaluations,
            preset=settings.preset,
        ),
        pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"].full_name,
    )
    server.add_operations(evaluations)
    sweeper = Sweeper(
        store,
        every=timedelta(seconds=settings.sweep_s),
        parts_after=timedelta(seconds=settings.sweep_parts_after_s),
        drawn_after=timedelta(seconds=settings.sweep_drawn_after_s),
    )
    return Service(server, tasks=[controller.run, sweeper.run, evaluations.keep_going])
