"""`suti dead`: messages that could not be worked on."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect
from suti.cli.run_views import stage_name

app = typer.Typer(no_args_is_help=True, help="List, replay and drop messages that could not be worked on.")
console = Console()

Letters = Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="Ids of `suti dead list`.")]
Run = Annotated[str, typer.Option("--run", help="All letters of this run.")]


@app.command("list")
def list_letters(
    run: Annotated[str, typer.Option("--run", help="Only those of this run.")] = "",
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Dead letters, newest first."""
    table = Table("letter", "run", "stage", "shard", "tries", "reason", "message", "trace")
    with connect(server, data) as suti:
        for letter in suti.list_dead_letters(run_id=run):
            place = (letter.run_id, stage_name(letter.stage), str(letter.shard), str(letter.deliveries))
            table.add_row(letter.letter_id, *place, letter.reason, letter.message, letter.trace_id[:8])
    console.print(table)


@app.command()
def replay(letters: Letters = None, run: Run = "", server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Put letters back into their queues."""
    with connect(server, data) as suti:
        for name in suti.replay_dead_letters(letters or (), run_id=run).letter_ids:
            typer.echo(name)


@app.command()
def drop(letters: Letters = None, run: Run = "", server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Forget letters for good; their runs go on without those shards."""
    with connect(server, data) as suti:
        for name in suti.drop_dead_letters(letters or (), run_id=run).letter_ids:
            typer.echo(name)
