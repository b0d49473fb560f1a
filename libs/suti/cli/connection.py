"""Which services a command talks to: an address, or whatever `suti up` started in a data folder."""

import os
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.client.options import Options
from suti.core.errors import BadConfiguration

ENDPOINTS_FILE = "endpoints.json"
DEFAULT_DATA = Path("suti-data")  # as in suti.local.folder

ServerOption = Annotated[
    str, typer.Option("--server", envvar="SUTI_SERVER", help="host:port of another machine's gateway or service.")
]
DataOption = Annotated[
    Path, typer.Option("--data", envvar="SUTI_DATA", help="Data folder of `suti up`: what runs there is asked.")
]


class NoServer(BadConfiguration):
    """A command wants services, and none are known."""

    reason: ClassVar[str] = "NO_SERVER"


def connect(server: str, data: Path) -> Suti:
    """A client for the services; use it in a `with` block. Raises NoServer."""
    options = Options(token=os.environ.get("SUTI_TOKEN", ""))
    if server:
        return Suti(server, options=options)
    path = data / ENDPOINTS_FILE
    if not path.exists():
        raise NoServer(f"{path} does not exist: start `suti up --data {data}`, or give --server host:port")
    return Suti(Endpoints.load(path), options=options)
