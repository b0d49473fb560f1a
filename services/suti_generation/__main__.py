"""The generation service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_generation.settings import GenerationSettings
from suti_generation.wiring import wire

if __name__ == "__main__":
    run_service("suti_generation", GenerationSettings, wire)
