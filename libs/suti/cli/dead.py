"""`suti dead`: messages that could not be worked on."""

from typing import Annotated

import typer
from rich.table import Table

from suti.cli.answers import JsonOption, answer_console, print_json
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect
from suti.cli.run_views import stage_name

app = typer.Typer(no_args_is_help=True, help="Look at work that was given up: list it, try it again, drop it.")
console = answer_console()

Letters = Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="Ids of `suti dead list`.")]
Run = Annotated[str, typer.Option("--run", help="All letters of this run.")]


@app.command("list")
def list_letters(
    run: Annotated[str, typer.Option("--run", help="Only those of this run.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """List dead letters, newest first: shards that were given up, and why."""
    with connect(server, data) as suti:
        letters = list(suti.list_dead_letters(run_id=run))
    if as_json:
        print_json(letters)
        return
    if not letters:
        console.print("No dead letters: nothing was given up.")
        return
    table = Table("letter", "run", "stage", "shard", "tries", "reason", "message", "trace")
    for letter in letters:
        place = (letter.run_id, stage_name(letter.stage), str(letter.shard), str(letter.deliveries))
        table.add_row(letter.letter_id, *place, letter.reason, letter.message, letter.trace_id[:8])
    console.print(table)


@app.command()
def replay(letters: Letters = None, run: Run = "", server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Try given-up work again: its letters go back into their queues."""
    with connect(server, data) as suti:
        for name in suti.replay_dead_letters(letters or (), run_id=run).letter_ids:
            typer.echo(name)


@app.command()
def drop(letters: Letters = None, run: Run = "", server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Forget letters for good; their runs go on without that work."""
    with connect(server, data) as suti:
        for name in suti.drop_dead_letters(letters or (), run_id=run).letter_ids:
            typer.echo(name)
