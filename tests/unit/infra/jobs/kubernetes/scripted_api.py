"""A small HTTP server that lists and watches as the API server does, and fails as it is told to."""

import json
import queue
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.http import Handler, listening

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

    class Scripted(Handler):
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
            self.answer(200, {"metadata": metadata, "items": api.objects[start:end]})

        def _watch(self) -> None:
            self.begin_chunks()  # as the API server does
            while (event := api.events.get()) != "":
                if isinstance(event, str):
                    self.reset()
                    return
                line = json.dumps(event).encode() + b"\n"
                for piece in (line[:20], line[20:]):  # events come in pieces
                    self.chunk(piece)
            self.chunk(b"")

        def _fail(self, fault: int | str) -> None:
            if isinstance(fault, str):
                self.reset()
            else:
                later = {"Retry-After": api.retry_after} if fault == 429 and api.retry_after else {}
                body = {"kind": "Status", "code": fault, "reason": "Told", "message": "told to fail"}
                self.answer(fault, body, headers=later)

    with listening(Scripted) as address:
        try:
            yield address
        finally:
            api.events.put("")
