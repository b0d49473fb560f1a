"""The captioning service: settings, wiring, serve."""

from suti.infra.service import run_service
from suti_captioning.settings import CaptioningSettings
from suti_captioning.wiring import wire

if __name__ == "__main__":
    run_service("suti_captioning", CaptioningSettings, wire)
