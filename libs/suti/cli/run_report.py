"""`suti run report`: what a run came to, as a page and as data."""

from pathlib import Path
from typing import Annotated

import typer

from suti.cli.connection import DEFAULT_DATA, DataOption
from suti.cli.progress import reported, say
from suti.cli.stores import AllowHttpOption, EndpointOption, RegionOption, StoreOption, open_store
from suti.core.errors import InvalidArgument


def report(  # noqa: PLR0917 - options, given by name
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `suti run list` shows it.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the two files; unset: out/RUN.")] = None,
    store: StoreOption = "",
    endpoint: EndpointOption = "",
    region: RegionOption = "",
    allow_http: AllowHttpOption = None,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Write report.html and report.json of a run: counts, reasons, pictures, losses, times, digests, recipes.

    Reads the store alone, so no service need run; of a run that goes on it tells the stages so far.
    """
    from suti.report.any_run import tell_run  # noqa: PLC0415 - not needed for --help
    from suti.report.facts import write_json  # noqa: PLC0415
    from suti.report.page import render_run_page, write_page  # noqa: PLC0415

    opened = open_store(store, data, endpoint=endpoint, region=region, allow_http=allow_http)
    with reported("reading the run") as progress:
        told = tell_run(opened, run, progress=progress)
    folder = out or Path("out") / run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(told.report, folder / "report.json")
        write_page(render_run_page(told.report, told.gallery), folder / "report.html")
    except OSError as error:
        raise InvalidArgument("--out", f"{folder}: {error.strerror}; name a folder that can be written") from error
    sample = told.report.sample
    if len(sample.shards) < sample.of_shards:
        say(f"Pictures are of {len(sample.shards)} of {sample.of_shards} shards; counts are of all.")
    if not told.report.ended:
        say("The run still goes on: the report tells the stages so far.")
    typer.echo(f"Report: {(folder / 'report.html').absolute()}\nFacts:  {(folder / 'report.json').absolute()}")
