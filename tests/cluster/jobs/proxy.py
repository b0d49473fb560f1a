"""A proxy between a launcher and the real API server, on loopback and in plain HTTP, that fails as it is told to."""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject

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
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(configuration: Configuration, faults: Faults) -> Generator[str]:
    """An address that leads to the configuration's server, with its credentials."""
    rest: Any = RESTClientObject(configuration).pool_manager
    pool = cast("urllib3.PoolManager", rest)
    host = str(configuration.host).rstrip("/")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

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
            self.send_response(answer.status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if watch:
                faults.running.add(self.connection)
            try:
                for data in answer.stream(2**16):
                    self._chunk(data)
                self._chunk(b"")
            except OSError:
                self.close_connection = True
            finally:
                faults.running.discard(self.connection)
                answer.close()

        do_GET = do_PATCH = do_DELETE = do_POST = _forward

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def _fail(self, fault: int | str) -> None:
            self.close_connection = True
            if isinstance(fault, str):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            body = b'{"kind": "Status", "code": %d, "message": "told to fail"}' % fault
            self.send_response(fault)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def finish(self) -> None:
            if self.connection.fileno() >= 0:
                with suppress(OSError):
                    super().finish()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        faults.cut()
        server.shutdown()
        server.server_close()
