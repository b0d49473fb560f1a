"""The pipeline service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_pipeline.settings import PipelineSettings
from suti_pipeline.wiring import wire

if __name__ == "__main__":
    run_service("suti_pipeline", PipelineSettings, wire)
