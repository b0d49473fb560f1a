"""The captioning service: settings, wiring, serve."""

import asyncio

from suti.infra.lifecycle import serve
from suti.infra.logs import setup_logs
from suti.infra.telemetry.setup import setup
from suti_captioning.settings import CaptioningSettings
from suti_captioning.wiring import Captioning

NAME = "suti_captioning"


async def main() -> None:
    """Runs until SIGTERM."""
    settings = CaptioningSettings()
    setup_logs(NAME, json=settings.log_json, level=settings.log_level)
    spans, metrics_port = settings.telemetry_folder, settings.prometheus_port
    with setup(NAME, otlp_endpoint=settings.otlp_endpoint, folder=spans, prometheus_port=metrics_port):
        async with await settings.connect_bus(NAME) as bus:
            await bus.ensure_streams()
            captioning = Captioning.wire(settings, bus)
            await serve(
                server=captioning.server,
                workers=captioning.workers,
                drain_s=settings.drain_s,
                on_ready=captioning.get_ready,
                port_file=settings.port_file,
            )


if __name__ == "__main__":
    asyncio.run(main())
