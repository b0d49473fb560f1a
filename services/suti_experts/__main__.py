"""The experts service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_experts.settings import ExpertsSettings
from suti_experts.wiring import wire

if __name__ == "__main__":
    run_service("suti_experts", ExpertsSettings, wire)
