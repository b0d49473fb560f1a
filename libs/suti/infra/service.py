"""A service as a process: what it is made of, and its life from settings to exit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from suti.core.errors import BadConfiguration, SutiError
from suti.infra.arrival import bus_and_store_there
from suti.infra.bus.connection import Bus
from suti.infra.bus.worker import Worker
from suti.infra.lifecycle import Endless, serve, unless_stopped
from suti.infra.logs import setup_logs
from suti.infra.rpc.not_yet import not_serving_yet
from suti.infra.rpc.server import MODEL, RpcServer
from suti.infra.settings import ServiceSettings, read_settings
from suti.infra.telemetry.setup import setup

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """A service's parts, connected and not yet started; see `suti.infra.lifecycle.serve`."""

    server: RpcServer
    workers: Sequence[Worker] = ()
    tasks: Sequence[Endless] = ()
    behind: Sequence[Endless] = ()
    prepare: Callable[[], Awaitable[object]] | None = None  # once it listens; then health says that models are served
    get_ready: Callable[[], Awaitable[object]] | None = None  # instead: says itself what health says of models
    close: Callable[[], Awaitable[None]] | None = None


def run_service[Settings: ServiceSettings](
    name: str, kind: type[Settings], wire: Callable[[Settings, Bus], Service]
) -> None:
    """Settings, logs, telemetry, bus and store once they are there, and then the service of `wire`, until SIGTERM.

    The process ends with 0 then, and with the exit code of the error (`suti.core.errors.ExitCode`) that ended it
    otherwise; its reason is the last thing that the log says.
    """
    setup_logs(name)  # as the settings want it once they are read
    try:
        asyncio.run(_run(name, read_settings(kind), wire))
    except SutiError as error:
        _log.critical("%s: %s", error.reason, error, exc_info=None if isinstance(error, BadConfiguration) else error)
        raise SystemExit(int(error.exit_code)) from None


async def _run[Settings: ServiceSettings](
    name: str, settings: Settings, wire: Callable[[Settings, Bus], Service]
) -> None:
    setup_logs(name, json=settings.log_json, level=settings.log_level)
    spans, metrics_port = settings.telemetry_folder, settings.prometheus_port
    with setup(name, otlp_endpoint=settings.otlp_endpoint, folder=spans, prometheus_port=metrics_port):
        async with not_serving_yet(settings.health_listen):
            bus = await unless_stopped(_bus(name, settings))
        if bus is None:
            return
        async with bus:
            service = wire(settings, bus)

            async def get_ready() -> None:
                await service.server.set_serving(MODEL, serving=False)
                if service.get_ready is not None:
                    await service.get_ready()
                    return
                if service.prepare is not None:
                    await service.prepare()
                await service.server.set_serving(MODEL, serving=True)

            await serve(
                server=service.server,
                workers=service.workers,
                tasks=service.tasks,
                behind=service.behind,
                drain_s=settings.drain_s,
                on_ready=get_ready,
                on_stop=service.close,
                port_file=settings.port_file,
            )


async def _bus(name: str, settings: ServiceSettings) -> Bus:
    def connect(limit_s: float) -> Awaitable[Bus]:
        return settings.connect_bus(name, timeout_s=limit_s)

    return await bus_and_store_there(connect, settings.open_store(), patience_s=settings.patience_s)
