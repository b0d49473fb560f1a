"""Messages that could not be worked on, kept in the store with body and reason until somebody replays or drops them."""

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self, cast

from ulid import ULID

from suti.core import keys
from suti.core.errors import NotFound, PermanentError
from suti.core.fields import known_fields
from suti.infra.bus import failures
from suti.infra.bus.connection import Bus
from suti.infra.store import ObjectMissing, Store
from suti.infra.telemetry.context import outgoing_headers

_log = logging.getLogger(__name__)


class LetterUnreadable(PermanentError):
    """What lies among the dead letters is none."""

    reason: ClassVar[str] = "LETTER_UNREADABLE"
    grpc_code = "DATA_LOSS"


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
    bad_data: bool = False  # the shard itself is at fault and no replay would help: its run goes on without it

    def to_json(self) -> bytes:
        """The object in the store; `body` in base64."""
        fields = asdict(self)
        fields |= {"body": base64.b64encode(self.body).decode(), "at": self.at.isoformat()}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The letter of an object in the store. Raises LetterUnreadable."""
        try:
            known = known_fields(cls, cast("dict[str, Any]", json.loads(data)))
            known |= {"body": base64.b64decode(known["body"]), "at": datetime.fromisoformat(known["at"])}
            return cls(**known)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LetterUnreadable(f"{data[:80]!r} is no dead letter ({error!r}): delete its object") from error


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
        """The letters, newest first; those of one run or stage alone if asked. Unreadable ones are logged, not told."""
        found: list[DeadLetter] = []
        for info in self._store.list(keys.DEAD_LETTERS):
            try:
                found.append(DeadLetter.from_json(self._store.get(info.key)))
            except ObjectMissing:  # dropped or replayed just now
                continue
            except LetterUnreadable as error:
                _log.error("%s: %s", info.key, error)
        wanted = [letter for letter in found if run_id in (None, letter.run_id) and stage in (None, letter.stage)]
        return sorted(wanted, key=lambda letter: (letter.at, letter.letter_id), reverse=True)

    def get(self, letter_id: str) -> DeadLetter:
        """One letter. Raises NotFound, LetterUnreadable."""
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
        headers = {**failures.without(letter.headers), **outgoing_headers()}
        await bus.publish(letter.subject, letter.body, headers=headers)
        await asyncio.to_thread(self.drop, letter_id)

    def drop(self, letter_id: str) -> None:
        """The letter is forgotten. Raises NotFound."""
        if not self._store.exists(keys.dead_letter(letter_id)):
            raise NotFound("dead letter", letter_id, remedy="see `suti dead list`")
        self._store.delete(keys.dead_letter(letter_id))
