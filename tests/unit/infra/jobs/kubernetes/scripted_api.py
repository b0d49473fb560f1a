"""A small HTTP server that lists and watches as the API server does, and fails as it is told to."""

import json
import queue
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

RESET = "reset"


class ScriptedApi:
    """Holds objects; `faults` are met by the next requests, one each: a status code, or RESET."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.version = 10
        self.page = 2
        self.faults: dict[str, list[int | str]] = {"list": [], "watch": []}
        self.events: queue.Queue[Object | str] = queue.Queue()  # RESET breaks the watch off, "" ends it in good order
        self.watched_from: list[str] = []
        self.lists = 0
        self.retry_after: str | None = None

    def change(self, kind: str, found: Object) -> None:
        """An event of the watch that runs, or of the next one."""
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        self.events.put({"type": kind, "object": found})


@contextmanager
def serving(api: ScriptedApi) -> Generator[str]:
    """Serves on a free loopback port: its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            kind = "watch" if "watch" in query else "list"
            if api.faults[kind]:
                self._fail(api.faults[kind].pop(0))
            elif kind == "list":
                self._list(int(query.get("continue", 0)))
            else:
                api.watched_from.append(query["resourceVersion"])
                self._watch()

        def _list(self, start: int) -> None:
            end = start + api.page
            more = {"continue": str(end)} if end < len(api.objects) else {}
            api.lists += start == 0
            metadata = {"resourceVersion": str(api.version), **more}
            self._answer(200, {"metadata": metadata, "items": api.objects[start:end]})

        def _watch(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")  # as the API server does
            self.end_headers()
            while (event := api.events.get()) != "":
                if isinstance(event, str):
                    self._reset()
                    return
                line = json.dumps(event).encode() + b"\n"
                for piece in (line[:20], line[20:]):  # events come in pieces
                    self._chunk(piece)
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def _fail(self, fault: int | str) -> None:
            if isinstance(fault, str):
                self._reset()
            else:
                self._answer(fault, {"kind": "Status", "code": fault, "reason": "Told", "message": "told to fail"})

        def _answer(self, code: int, body: Object) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            if code == 429 and api.retry_after:
                self.send_header("Retry-After", api.retry_after)
            self.end_headers()
            self.wfile.write(data)

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
            """Says nothing."""

        def finish(self) -> None:
            if self.connection.fileno() >= 0:
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        api.events.put("")
        server.shutdown()
        server.server_close()
