"""What a service answered to a request id, so that a call that is sent twice is done once."""

import base64
import hashlib
import json
from datetime import datetime, timedelta
from typing import ClassVar, cast
from uuid import UUID

from google.protobuf.message import Message

from suti.core import keys
from suti.core.errors import InvalidArgument, PermanentError
from suti.infra.store import Store

KEPT_FOR = timedelta(hours=24)


class RequestIdReused(PermanentError):
    """A request id came a second time, with another body."""

    reason: ClassVar[str] = "REQUEST_ID_REUSED"
    grpc_code = "ALREADY_EXISTS"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"request {request_id} was used for another body before: make a new UUID4 for each new request"
        )
        self.request_id = request_id


def body_sha256(request: Message) -> str:
    """What tells one body from another under the same request id."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


class RequestLedger:
    """One service's answers by request id, kept for 24 hours at least."""

    def __init__(self, store: Store, service: str) -> None:
        self._store = store
        self._service = service

    def find(self, request_id: str, *, body_sha256: str) -> bytes | None:
        """The recorded answer, None if there is none yet. Raises RequestIdReused, InvalidArgument (no UUID)."""
        key = self._key(request_id)
        if not self._store.exists(key):  # the common case costs no error
            return None
        return self._read(key, request_id, body_sha256)

    def record(self, request_id: str, body_sha256: str, answer: bytes) -> bytes:
        """Makes this the answer unless there is one; returns the one that stands, which must be what is sent.

        Raises:
            RequestIdReused: the answer that stands belongs to another body.
        """
        key = self._key(request_id)
        record = {"body_sha256": body_sha256, "answer": base64.b64encode(answer).decode("ascii")}
        if self._store.create(key, json.dumps(record).encode()):
            return answer
        return self._read(key, request_id, body_sha256)

    def sweep(self, *, now: datetime) -> int:
        """Deletes answers that are older than promised; returns how many. S3 does the same by a lifecycle rule."""
        old = [i for i in self._store.list(f"{keys.REQUESTS}{self._service}/") if now - i.modified > KEPT_FOR]
        for info in old:
            self._store.delete(info.key)
        return len(old)

    def _key(self, request_id: str) -> str:
        try:
            return keys.request(self._service, str(UUID(request_id)))
        except ValueError as error:
            raise InvalidArgument("request_id", f"{request_id[:64]!r} is no UUID: send a UUID4") from error

    def _read(self, key: str, request_id: str, body_sha256: str) -> bytes:
        record = cast("dict[str, str]", json.loads(self._store.get(key)))
        if record["body_sha256"] != body_sha256:
            raise RequestIdReused(request_id)
        return base64.b64decode(record["answer"])
