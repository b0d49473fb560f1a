"""The pipeline service: settings, wiring, serve."""

import asyncio

from suti.api.pipeline.v1 import pipeline_pb2, pipeline_pb2_grpc
from suti.infra.lifecycle import serve
from suti.infra.logs import setup_logs
from suti.infra.telemetry.setup import setup
from suti.stages.model_catalogue import ModelCatalogue
from suti_pipeline.controller import Controller
from suti_pipeline.runs import Runs
from suti_pipeline.servicer import PipelineServicer
from suti_pipeline.settings import PipelineSettings
from suti_pipeline.study import Study

NAME = "suti_pipeline"


async def main() -> None:
    """Runs until SIGTERM."""
    settings = PipelineSettings()
    setup_logs(NAME, json=settings.log_json, level=settings.log_level)
    spans, metrics_port = settings.telemetry_folder, settings.prometheus_port
    store = settings.open_store()
    with setup(NAME, otlp_endpoint=settings.otlp_endpoint, folder=spans, prometheus_port=metrics_port):
        async with await settings.connect_bus(NAME) as bus:
            await bus.ensure_streams()
            controller = Controller(store, bus, reconcile_s=settings.reconcile_s, reissue_s=settings.reissue_s)
            models = ModelCatalogue.from_path(settings.models_path)
            study = Study(store, models, settings.accelerators)
            servicer = PipelineServicer(store, bus, controller, Runs(store, models), study, preset=settings.preset)
            server = settings.make_server()
            service = pipeline_pb2.DESCRIPTOR.services_by_name["PipelineService"].full_name
            server.add(pipeline_pb2_grpc.add_PipelineServiceServicer_to_server, servicer, service)
            await serve(server=server, tasks=[controller.run], drain_s=settings.drain_s, port_file=settings.port_file)


if __name__ == "__main__":
    asyncio.run(main())
