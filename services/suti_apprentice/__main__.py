"""The apprentice service: settings, wiring, serve."""

import asyncio

from suti.infra.lifecycle import serve
from suti.infra.logs import setup_logs
from suti.infra.telemetry.setup import setup
from suti_apprentice.settings import ApprenticeSettings
from suti_apprentice.wiring import Apprentice

NAME = "suti_apprentice"


async def main() -> None:
    """Runs until SIGTERM."""
    settings = ApprenticeSettings()
    setup_logs(NAME, json=settings.log_json, level=settings.log_level)
    spans, metrics_port = settings.telemetry_folder, settings.prometheus_port
    with setup(NAME, otlp_endpoint=settings.otlp_endpoint, folder=spans, prometheus_port=metrics_port):
        async with await settings.connect_bus(NAME) as bus:
            await bus.ensure_streams()
            apprentice = Apprentice.wire(settings, bus)
            await serve(
                server=apprentice.server,
                workers=[apprentice.worker],
                drain_s=settings.drain_s,
                on_ready=apprentice.get_ready,
                on_stop=apprentice.jobs.close,
                port_file=settings.port_file,
            )


if __name__ == "__main__":
    asyncio.run(main())
