"""`suti subject`: subjects to be drawn again and again."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from suti.cli.answers import JsonOption, answer_console, print_json
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect
from suti.cli.pictures import demonstrations, named

app = typer.Typer(no_args_is_help=True, help="Register what is to be drawn, by a few pictures of each.")
console = answer_console()

SubjectId = Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject's id, as `suti subject list` shows it.")]


@app.command()
def add(
    pictures: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, help="1 to 10 pictures of one subject; 3 to 5 work best."),
    ],
    caption: Annotated[
        list[str] | None, typer.Option(help="What a picture shows: once for all, or once for each, in their order.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Register a subject and print its id."""
    shown = demonstrations(pictures, caption or ())
    with named(pictures), connect(server, data) as suti:
        subject = suti.register_subject(shown, display_name=name)
    console.print(subject.subject_id)


@app.command("list")
def list_subjects(as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Show all subjects, newest first."""
    with connect(server, data) as suti:
        subjects = list(suti.list_subjects())
    if as_json:
        print_json(subjects)
        return
    if not subjects:
        console.print("No subjects yet: `suti subject add PICTURES` registers one.")
        return
    table = Table("subject", "name", "pictures", "registered", box=None)
    for one in subjects:
        made = one.create_time.ToDatetime().isoformat(" ", "minutes")
        table.add_row(one.subject_id, one.display_name, str(len(one.demonstrations)), made)
    console.print(table)


@app.command()
def show(
    subject: SubjectId,
    out: Annotated[Path | None, typer.Option(help="A folder to write the pictures to.")] = None,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Show a subject's captions, and write its pictures where asked."""
    with connect(server, data) as suti:
        found = suti.get_subject(subject, with_pixels=out is not None)
    console.print(f"{found.subject_id}  {found.display_name}")
    for index, one in enumerate(found.demonstrations):
        console.print(f"  {index}  {one.caption}", markup=False)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{found.subject_id}-{index}.png").write_bytes(one.picture.content)


@app.command()
def delete(subject: SubjectId, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Delete a subject with everything computed from it."""
    with connect(server, data) as suti:
        suti.delete_subject(subject)
