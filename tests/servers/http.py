"""HTTP servers of tests on a free loopback port, and what all of them do alike."""

import json
import socket
import struct
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """One connection. Logs nothing; what the caller does to it is no error here."""

    protocol_version = "HTTP/1.1"

    def answer(self, code: int, body: object, *, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer in JSON."""
        data = json.dumps(body).encode()
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def begin_chunks(self, code: int = 200) -> None:
        """The head of an answer that comes in pieces, as a watch does."""
        self.send_response(code)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """A piece of it; an empty one is the end."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def reset(self) -> None:
        """Breaks the connection off, without a word."""
        reset_on_close(self.connection)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Says nothing."""

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            return

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            try:
                super().finish()
            except OSError:
                return


def reset_on_close(connection: socket.socket) -> None:
    """The other side will see a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def listening(handler: type[Handler]) -> Generator[str]:
    """Its address, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
