"""`suti doctor`: what is missing on this machine, and how to get it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from suti.local.checks import Verdict, check_machine
from suti.local.folder import DataFolder, default_data_folder

app = typer.Typer(help="Say what is missing on this machine, and how to get it.")

_MARK = {Verdict.OK: "[green]ok  [/]", Verdict.WARN: "[yellow]warn[/]", Verdict.FAIL: "[red]fail[/]"}


@app.command()
def doctor(
    data: Annotated[Path | None, typer.Option(help="Data folder. Unset: $SUTI_DATA, or ./suti-data.")] = None,
) -> None:
    """Check this machine; ends with 1 if something that is needed is missing."""
    console = Console(highlight=False)
    failed: list[str] = []
    for finding in check_machine(DataFolder((data or default_data_folder()).absolute())):
        failed += [finding.subject] if finding.verdict is Verdict.FAIL else []
        remedy = f"\n                      → {finding.remedy}" if finding.remedy else ""
        console.print(f"{_MARK[finding.verdict]} {finding.subject:<16} {finding.found}{remedy}", soft_wrap=True)
    console.print("Everything that is needed is there." if not failed else f"Not ready: {', '.join(failed)}.")
    raise typer.Exit(1 if failed else 0)
