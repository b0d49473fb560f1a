"""Which services a command talks to: an address, or whatever `suti up` started in a data folder."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.client.options import Options, Tls
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


class UnreadableCertificate(BadConfiguration):
    """A file that should hold a certificate or a key cannot be read."""

    reason: ClassVar[str] = "CERTIFICATE_UNREADABLE"


def options_from(environment: Mapping[str, str]) -> Options:
    """How to call, as variables say it.

    `SUTI_TOKEN`: bearer token. `SUTI_TLS=1`: TLS with the system's authorities; `SUTI_TLS_CA`, `SUTI_TLS_CERT`,
    `SUTI_TLS_KEY`: PEM files, TLS as well; `SUTI_TLS_SERVER_NAME`: the name in the certificate, where it is not the
    address. `SUTI_PLAINTEXT=1`: no TLS to another machine.

    Raises:
        UnreadableCertificate: a file is missing, or only one of certificate and key is given.
    """
    options = Options(token=environment.get("SUTI_TOKEN", ""), allow_plaintext=environment.get("SUTI_PLAINTEXT") == "1")
    roots, chain, key = (_pem(environment, name) for name in ("SUTI_TLS_CA", "SUTI_TLS_CERT", "SUTI_TLS_KEY"))
    if (chain is None) != (key is None):
        raise UnreadableCertificate("SUTI_TLS_CERT and SUTI_TLS_KEY belong together: set both, or neither")
    if environment.get("SUTI_TLS") == "1" or roots or chain:
        name = environment.get("SUTI_TLS_SERVER_NAME", "")
        return replace(options, tls=Tls(roots=roots, key=key, chain=chain, server_name=name))
    return options


def connect(server: str, data: Path) -> Suti:
    """A client for the services; use it in a `with` block. Raises NoServer, UnreadableCertificate."""
    options = options_from(os.environ)
    if server:
        return Suti(server, options=options)
    path = data / ENDPOINTS_FILE
    if not path.exists():
        raise NoServer(f"{path} does not exist: start `suti up --data {data}`, or give --server host:port")
    return Suti(Endpoints.load(path), options=options)


def _pem(environment: Mapping[str, str], name: str) -> bytes | None:
    if not (path := environment.get(name)):
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableCertificate(f"{name} names {path}, which cannot be read ({error.strerror})") from error
