"""The apprentice service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_apprentice.settings import ApprenticeSettings
from suti_apprentice.wiring import wire

if __name__ == "__main__":
    run_service("suti_apprentice", ApprenticeSettings, wire)
