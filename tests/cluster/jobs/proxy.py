"""A proxy between a launcher and the real API server, on loopback and in plain HTTP, that fails as it is told to."""

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject

from tests.servers.http import Handler, listening, reset_on_close

RESET = "reset"


class Faults:
    """`watches` are met by the next watches, one each: a status code or RESET. `cut` breaks off those that run."""

    def __init__(self) -> None:
        self.watches: list[int | str] = []
        self.calls: list[int | str] = []
        self.running = set[socket.socket]()
        self.met = 0

    def cut(self) -> None:
        """Resets every connection that a watch runs on."""
        for connection in list(self.running):
            with suppress(OSError):
                reset_on_close(connection)
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(configuration: Configuration, faults: Faults) -> Generator[str]:
    """An address that leads to the configuration's server, with its credentials."""
    rest: Any = RESTClientObject(configuration).pool_manager
    pool = cast("urllib3.PoolManager", rest)
    host = str(configuration.host).rstrip("/")

    class Forwarding(Handler):
        def _forward(self) -> None:
            watch = "watch=true" in self.path
            todo = faults.watches if watch else faults.calls
            if todo:
                faults.met += 1
                self._fail(todo.pop(0))
                return
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name: self.headers[name] for name in ("Accept", "Content-Type") if self.headers[name]}
            answer = pool.request(
                self.command,
                host + self.path,
                body=self.rfile.read(length) if length else None,
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=400,
            )
            self.begin_chunks(answer.status)
            if watch:
                faults.running.add(self.connection)
            try:
                for data in answer.stream(2**16):
                    self.chunk(data)
                self.chunk(b"")
            except OSError:
                self.close_connection = True
            finally:
                faults.running.discard(self.connection)
                answer.close()

        do_GET = do_PATCH = do_DELETE = do_POST = _forward

        def _fail(self, fault: int | str) -> None:
            if isinstance(fault, str):
                self.reset()
                return
            self.close_connection = True
            self.answer(fault, {"kind": "Status", "code": fault, "message": "told to fail"})

    with listening(Forwarding) as address:
        try:
            yield address
        finally:
            faults.cut()
