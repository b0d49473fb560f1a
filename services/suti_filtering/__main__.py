"""The filtering service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_filtering.settings import FilteringSettings
from suti_filtering.wiring import wire

if __name__ == "__main__":
    run_service("suti_filtering", FilteringSettings, wire)
