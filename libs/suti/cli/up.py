"""`suti up`: everything on this machine, shown live, stopped by Ctrl-C."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from suti.client.endpoints import Service
from suti.local.folder import DataFolder, default_data_folder
from suti.local.machine import Machine, Row, State
from suti.local.process import family_rss_bytes
from suti.local.programs import MachineOptions

app = typer.Typer(help="Start all services on this machine and show them live.")

_COLOUR = {State.SERVING: "green", State.STARTING: "yellow", State.CRASHED: "red", State.STOPPED: "dim"}
_REFRESH_S = 0.5


@app.command()
def up(  # noqa: PLR0917 - options, given by name
    data: Annotated[Path | None, typer.Option(help="Data folder. Unset: $SUTI_DATA, or ./suti-data.")] = None,
    only: Annotated[list[Service] | None, typer.Option(help="Only these services; may be given again.")] = None,
    slots: Annotated[int, typer.Option(min=1, help="Experts that are tuned at the same time.")] = 2,
    threads: Annotated[int, typer.Option(min=1, help="Torch threads of each process.")] = 1,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    otlp_endpoint: Annotated[str, typer.Option(help="OTLP collector for traces. Unset: files, for `suti trace`.")] = "",
) -> None:
    """Start NATS, the store and the seven services; Ctrl-C or SIGTERM stops them in order."""
    folder = DataFolder((data or default_data_folder()).absolute())
    options = MachineOptions(
        services=tuple(only or Service),
        expert_slots=slots,
        torch_threads=threads,
        log_level=log_level,
        otlp_endpoint=otlp_endpoint,
    )
    console, stop = Console(), stop_on_signals()
    with folder.locked(), Machine(folder, options) as machine:
        began = time.monotonic()
        if not console.is_terminal:
            console.print(f"Starting NATS and {len(options.services)} services in {folder.path}.", soft_wrap=True)

        def on_ready(name: str) -> None:
            if not console.is_terminal:  # a terminal has the table
                console.print(f"{name} is ready after {time.monotonic() - began:.1f} s.")

        with Live(
            table(machine.rows()), console=console, refresh_per_second=4, transient=not console.is_terminal
        ) as live:
            machine.start(on_change=lambda: _show(live, machine, stop), on_ready=on_ready)
            console.print(
                f"Ready after {time.monotonic() - began:.1f} s. Logs: {folder.logs}. Addresses: {folder.endpoints}",
                soft_wrap=True,
            )
            if machine.ended_leftovers:
                console.print(f"Ended {len(machine.ended_leftovers)} processes that an earlier `suti up` left behind.")
            while not stop.wait(_REFRESH_S):
                live.update(table(machine.rows()))
            console.print("Stopping: some seconds.")


def stop_on_signals() -> threading.Event:
    """Set at the first SIGINT or SIGTERM. Later ones change nothing: what was started is being stopped, in seconds."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    return stop


def table(rows: list[Row]) -> Table:
    """The processes as people see them."""
    shown = Table(
        title=f"suti up · {family_rss_bytes() / 2**30:.1f} GiB", title_justify="left", box=None, pad_edge=False
    )
    for column in ("process", "state", "address", "pid", "restarts", "up"):
        shown.add_column(column, justify="right" if column in {"pid", "restarts", "up"} else "left")
    for row in rows:
        state = f"[{_COLOUR[row.state]}]{row.state}[/]"
        up_for = f"{row.uptime_s:.0f} s" if row.uptime_s else ""
        shown.add_row(row.name, state, row.address, str(row.pid or ""), str(row.restarts or ""), up_for)
    return shown


def _show(live: Live, machine: Machine, stop: threading.Event) -> None:
    live.update(table(machine.rows()))
    if stop.is_set():
        raise KeyboardInterrupt
