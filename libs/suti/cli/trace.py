"""`suti trace`: where a run's time went."""

from pathlib import Path
from typing import Annotated

import typer

from suti.cli.connection import DEFAULT_DATA, DataOption
from suti.core.errors import NotFound

app = typer.Typer(help="Show where a run's time went, as a tree.")


@app.command()
def trace(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    folder: Annotated[
        Path | None, typer.Option(help="Where the processes write their spans; unset: the data folder's `telemetry`.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Print the spans of a run as a tree with times. Needs no service, only the span files."""
    from suti.infra.telemetry.files import read_trace  # noqa: PLC0415 - OpenTelemetry is slow to import
    from suti.infra.telemetry.tree import render_tree  # noqa: PLC0415

    place = folder or data / "telemetry"
    spans = read_trace(place, run) if place.is_dir() else []
    if not spans:
        raise NotFound("trace of run", run, remedy=f"no span of it lies in {place}; is that the run's data folder?")
    typer.echo(render_tree(spans))
