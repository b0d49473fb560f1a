"""The filtering service: settings, wiring, serve."""

import asyncio

from suti.infra.lifecycle import serve
from suti.infra.logs import setup_logs
from suti.infra.telemetry.setup import setup
from suti_filtering.settings import FilteringSettings
from suti_filtering.wiring import Filtering

NAME = "suti_filtering"


async def main() -> None:
    """Runs until SIGTERM."""
    settings = FilteringSettings()
    setup_logs(NAME, json=settings.log_json, level=settings.log_level)
    spans, metrics_port = settings.telemetry_folder, settings.prometheus_port
    with setup(NAME, otlp_endpoint=settings.otlp_endpoint, folder=spans, prometheus_port=metrics_port):
        async with await settings.connect_bus(NAME) as bus:
            await bus.ensure_streams()
            filtering = Filtering.wire(settings, bus)
            await serve(
                server=filtering.server,
                workers=filtering.workers,
                drain_s=settings.drain_s,
                on_ready=filtering.get_ready,
                port_file=settings.port_file,
            )


if __name__ == "__main__":
    asyncio.run(main())
