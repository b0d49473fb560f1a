"""`suti tombstone`: pages and pictures that must not be used any more."""

from typing import Annotated

import typer
from rich.table import Table

from suti.cli.answers import JsonOption, answer_console, print_json
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect

app = typer.Typer(no_args_is_help=True, help="Take pages and pictures out that somebody wants out.")
console = answer_console()

Urls = Annotated[list[str] | None, typer.Argument(metavar="[URL]...", help="Pages, or single pictures.")]
PictureIds = Annotated[
    list[str] | None,
    typer.Option("--picture", help="SHA-256 of a picture's bytes, wherever it stood. May be repeated."),
]
By = Annotated[str, typer.Option("--by", help="For the record: who wants it.")]
Why = Annotated[str, typer.Option("--why", help="For the record: the reason, a ticket's number.")]


@app.command()
def add(  # noqa: PLR0917 - options, given by name
    urls: Urls = None,
    picture: PictureIds = None,
    by: By = "",
    why: Why = "",
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take pages and pictures out: every stage that begins from now on leaves them out. Prints the tombstone's id.

    What is committed stays; apprentices that learned from what was ever taken out are named on stderr.
    """
    with connect(server, data) as suti:
        made = suti.create_tombstone(urls=urls or (), picture_ids=picture or (), why=why, created_by=by)
        typer.echo(made.tombstone_id)
        affected = [one.model_name for one in suti.list_checkpoints() if one.affected_by_tombstones]
    if urls:
        typer.echo(f"What it touched so far: `suti run provenance url {urls[0]} --forward`", err=True)
    if affected:
        typer.echo(f"Consider training anew, they learned from what was taken out: {', '.join(affected)}", err=True)


@app.command("list")
def list_tombstones(as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """What was taken out, newest first."""
    with connect(server, data) as suti:
        found = list(suti.list_tombstones())
    if as_json:
        print_json(found)
        return
    table = Table("tombstone", "created", "by", "covers", "why")
    for one in found:
        covers = [*one.urls, *one.picture_ids]
        more = f" and {len(covers) - 1} more" if len(covers) > 1 else ""
        created = f"{one.create_time.ToDatetime():%Y-%m-%d %H:%M}"
        table.add_row(one.tombstone_id, created, one.created_by, f"{covers[0]}{more}", one.why)
    console.print(table)


@app.command()
def remove(
    tombstone: Annotated[str, typer.Argument(help="Its id, of `suti tombstone list`.")],
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Take a tombstone back that was a mistake."""
    with connect(server, data) as suti:
        suti.delete_tombstone(tombstone)
