"""Messages that could not be worked on, kept in the store with body and reason until somebody replays or drops them."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self, cast

from ulid import ULID

from suti.core import keys
from suti.core.errors import NotFound
from suti.infra.bus.connection import Bus
from suti.infra.store import ObjectMissing, Store
from suti.infra.telemetry.context import outgoing_headers


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up, with all that is needed to understand it and to send it again."""

    letter_id: str  # 26-character ULID
    subject: str
    body: bytes
    reason: str  # stable, of the last failure
    message: str  # what the last failure said
    run_id: str  # empty where the body could not be read, as are stage and shard (0)
    stage: str
    shard: int
    deliveries: int
    trace_id: str  # of the last failure: 32 hex digits, empty where there was none
    at: datetime
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> bytes:
        """The object in the store; `body` in base64."""
        fields = asdict(self)
        fields |= {"body": base64.b64encode(self.body).decode(), "at": self.at.isoformat()}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The letter of an object in the store."""
        fields = cast("dict[str, Any]", json.loads(data))
        known = {name: value for name, value in fields.items() if name in cls.__slots__}  # a later version may say more
        known |= {"body": base64.b64decode(known["body"]), "at": datetime.fromisoformat(known["at"])}
        return cls(**known)


def letter_id(*, subject: str, sent_at: datetime, sequence: int) -> str:
    """A ULID that is the same each time the same message is given up, so that no letter is written twice."""
    told = hashlib.sha256(f"{subject}\n{sequence}\n{sent_at.isoformat()}".encode()).digest()
    return str(ULID(int(sent_at.timestamp() * 1000).to_bytes(6, "big") + told[:10]))


class DeadLetters:
    """All dead letters of a store. Calls block, as the store's do."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, letter: DeadLetter) -> None:
        """The letter is kept. The same letter again (a redelivered message) tells the later failure."""
        self._store.put(keys.dead_letter(letter.letter_id), letter.to_json())

    def list(self, *, run_id: str | None = None, stage: str | None = None) -> list[DeadLetter]:
        """The letters, newest first; only those of one run or stage if asked."""
        found: list[DeadLetter] = []
        for info in self._store.list(keys.DEAD_LETTERS):
            try:
                found.append(DeadLetter.from_json(self._store.get(info.key)))
            except ObjectMissing:  # dropped or replayed just now
                continue
        wanted = [letter for letter in found if run_id in (None, letter.run_id) and stage in (None, letter.stage)]
        return sorted(wanted, key=lambda letter: (letter.at, letter.letter_id), reverse=True)

    def get(self, letter_id: str) -> DeadLetter:
        """One letter. Raises NotFound."""
        try:
            return DeadLetter.from_json(self._store.get(keys.dead_letter(letter_id)))
        except ObjectMissing as error:
            raise NotFound("dead letter", letter_id, remedy="see `suti dead list`") from error

    async def replay(self, bus: Bus, letter_id: str) -> None:
        """The message is in its queue again, as it was and with all its attempts before it; the letter is gone.

        Raises:
            NotFound: no such letter.
            BusUnavailable: it could not be sent; the letter is kept.
        """
        letter = await asyncio.to_thread(self.get, letter_id)
        await bus.publish(letter.subject, letter.body, headers={**letter.headers, **outgoing_headers()})
        await asyncio.to_thread(self.drop, letter_id)

    def drop(self, letter_id: str) -> None:
        """The letter is forgotten. Raises NotFound."""
        self.get(letter_id)
        self._store.delete(keys.dead_letter(letter_id))
