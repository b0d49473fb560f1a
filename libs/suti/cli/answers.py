"""How commands answer on stdout: tables for people, and with `--json` the messages of the API as they are."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_WIDE = 1000  # columns: a pipe has no edge at which a table would have to be cut


def answer_console() -> Console:
    """A console on stdout. Where that is a window its lines fit into it, elsewhere nothing is folded or cut."""
    return Console(width=None if sys.stdout.isatty() else _WIDE)


def print_json(answer: Message | Iterable[Message]) -> None:
    """A message as one JSON object, several as a list; fields are named as in the protos, and none is left out."""
    if isinstance(answer, Message):
        typer.echo(json.dumps(_plain(answer), indent=1))
    else:
        typer.echo(json.dumps([_plain(one) for one in answer], indent=1))


def give_json(text: str, *, out: Path | None, alone: bool) -> bool:
    """Writes a document to a file, if one is wanted, and prints it, if it shall stand alone: then nothing else may."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n", encoding="utf-8")
    if alone:
        typer.echo(text)
    return alone


def _plain(message: Message) -> dict[str, object]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
