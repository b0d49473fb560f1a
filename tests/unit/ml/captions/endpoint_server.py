"""A real HTTP server that speaks OpenAI's chat protocol, and misbehaves as told."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from tests.servers.http import Handler, listening

Request = dict[str, Any]


@dataclass
class Reply:
    """One answer: what the model says, or another status or body, after a while."""

    text: str = ""
    status: int = 200
    body: bytes | None = None
    wait_s: float = 0.0
    retry_after: str = "0"


@dataclass
class ChatServer:
    """Answers with `answer(request)`, after the replies in `first` are used up."""

    answer: Callable[[Request], str]
    first: list[Reply] = field(default_factory=list[Reply])
    requests: list[Request] = field(default_factory=list[Request])
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, request: Request) -> Reply:
        """The next answer."""
        with self.lock:
            self.requests.append(request)
            return self.first.pop(0) if self.first else Reply(self.answer(request))


@contextmanager
def serving(server: ChatServer) -> Generator[ChatServer]:
    """The server, listening on a free port of this machine until the block ends."""

    class Chatting(Handler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            reply = server.reply(cast(Request, json.loads(sent)))
            time.sleep(reply.wait_s)
            body = _completion(reply.text) if reply.body is None else reply.body
            if reply.status != 200 and reply.body is None:
                body = json.dumps({"error": {"message": "told to fail"}}).encode()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", reply.retry_after)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the client gave up waiting
                self.close_connection = True

    with listening(Chatting) as address:
        server.url = f"{address}/v1"
        yield server


def _completion(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice]}
    ).encode()
