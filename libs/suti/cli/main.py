"""The `suti` command. A subcommand's module is imported when it is called, so that `suti --help` is quick."""

import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from suti.core.errors import SutiError

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer carries its own click

# Name -> one line of help, in the order of `suti --help`. Each is `suti.cli.<name>.app`, a Typer application.
COMMANDS: Mapping[str, str] = {
    "demo": "From a drawn crawl to an apprentice that draws what it never saw, with a report.",
    "up": "Start all services on this machine and show them live.",
    "doctor": "Say what is missing on this machine, and how to get it.",
    "run": "Turn a crawl into an apprentice: start, watch, explain, audit and report runs.",
    "dead": "Look at work that was given up: list it, try it again, drop it.",
    "tombstone": "Take pages and pictures out that somebody wants out.",
    "trace": "Show where a run's time went, as a tree.",
    "crawl": "Draw small crawls with made-up subjects, to try things with.",
    "models": "List, import, promote and calibrate models.",
    "subject": "Register what is to be drawn, by a few pictures of each.",
    "generate": "Draw a subject for a prompt.",
    "evaluate": "Score what a model draws of subjects it never saw.",
}


class LazyCommands(TyperGroup):
    """A group whose commands are modules, told by name and one line until one of them is called."""

    def list_commands(self, ctx: "Context") -> list[str]:
        """The commands that this installation has."""
        return [name for name in COMMANDS if find_spec(f"suti.cli.{name}") is not None]

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        """A command's name and help; nothing is imported for it."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: "Context", args: list[str]) -> "tuple[str | None, Command | None, list[str]]":
        """The command itself, imported now."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        application: Any = import_module(f"suti.cli.{name}").app
        application._add_completion = False
        real: Any = typer.main.get_command(application)
        real.name = name
        return name, real, rest


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Suti: one apprentice that draws any subject from a few pictures of it.",
    epilog="First: `suti doctor`, then `suti demo`. Or `suti up`, and in another window "
    "`suti run start --crawl FILE --watch`. COMMAND --help says more.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"suti {version('suti')}")
        raise typer.Exit


@app.callback()
def _suti(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print Suti's version.")
    ] = False,
) -> None:
    """Suti: one apprentice that draws any subject from a few pictures of it."""


def main() -> None:
    """Runs the command. An error of ours is told with its reason and remedy, and its exit code."""
    try:
        app()
    except SutiError as error:
        sys.stderr.write(f"suti: {error.reason}: {error}\n")
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
