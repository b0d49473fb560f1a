"""What must not be used any more: pictures and URLs that somebody wants out. Commits stay, readers subtract.

Each wish is an object of its own, so that of two at once none is lost.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, cast

from ulid import ULID

from suti.core import keys
from suti.core.errors import BadConfiguration, InvalidArgument, NotFound
from suti.core.fields import known_fields
from suti.core.ids import canonical_url
from suti.core.records import PictureRow
from suti.infra.store import ObjectMissing, Store

_FORMAT = 1
_MOST = 10_000  # of one wish
_PICTURE_ID = re.compile(r"[0-9a-f]{64}")


class TombstonesUnreadable(BadConfiguration):
    """One of them cannot be read. Nothing may go on as if it were not there."""

    reason: ClassVar[str] = "TOMBSTONES_UNREADABLE"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One wish: who wanted what out, when and why.

    Raises:
        InvalidArgument: it names nothing, more than 10,000 things, what is no URL, or a picture id that is no SHA-256.
    """

    urls: Sequence[str] = ()  # of pages or of pictures, canonical
    picture_ids: Sequence[str] = ()  # SHA-256 (lower-case hex) over the bytes as crawled
    why: str = ""
    created_by: str = ""
    tombstone_id: str = field(default_factory=lambda: str(ULID()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        strange = [url for url in self.urls if not url.lower().startswith(("http://", "https://"))]
        if strange:
            raise InvalidArgument("urls", f"{strange[0][:80]!r} is no URL: give it whole, from http:// or https:// on")
        wrong = [name for name in self.picture_ids if not _PICTURE_ID.fullmatch(name)]
        if wrong:
            raise InvalidArgument("picture_ids", f"{wrong[0][:80]!r} is no SHA-256: give 64 hex digits")
        if not 1 <= len(self.urls) + len(self.picture_ids) <= _MOST:
            raise InvalidArgument("urls, picture_ids", f"give one at least and {_MOST:,} at most")

    @classmethod
    def of(cls, *, urls: Iterable[str] = (), picture_ids: Iterable[str] = (), why: str = "", by: str = "") -> Self:
        """A new one, however URLs and ids are spelled."""
        return cls(
            urls=sorted({_spelling(url) for url in urls}),
            picture_ids=sorted({name.lower() for name in picture_ids}),
            why=why,
            created_by=by,
        )

    def to_json(self) -> bytes:
        """The object in the store."""
        fields = {**asdict(self), "format": _FORMAT, "created_at": self.created_at.isoformat()}
        return json.dumps(fields, sort_keys=True, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, key: str, data: bytes) -> Self:
        """The tombstone of an object in the store. Raises TombstonesUnreadable."""
        try:
            fields = cast("dict[str, Any]", json.loads(data))
            if fields["format"] > _FORMAT:
                raise TombstonesUnreadable(f"{key} has format {fields['format']}: install a newer Suti")
            known: dict[str, Any] = known_fields(cls, fields)
            known |= {"created_at": datetime.fromisoformat(known["created_at"])}
            return cls(**known)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidArgument) as error:
            raise TombstonesUnreadable(f"{key} is no tombstone ({error!r}): restore it, or delete it") from error


@dataclass(frozen=True, slots=True)
class Tombstones:
    """All of them together."""

    urls: frozenset[str] = frozenset()
    picture_ids: frozenset[str] = frozenset()

    def covers(self, *, picture_id: str = "", url: str = "") -> bool:
        """Whether a picture with that id, or anything from that page or picture URL, must not be used."""
        return picture_id in self.picture_ids or (bool(url) and _spelling(url) in self.urls)

    def covers_row(self, row: PictureRow) -> bool:
        """Whether a picture must not be used: for its bytes, its own URL, or its page."""
        return self.covers(picture_id=row.picture_id, url=row.picture_url) or self.covers(url=row.page_url)


def load_tombstones(store: Store) -> Tombstones:
    """What the store's tombstones say together. Raises TombstonesUnreadable."""
    found = list_tombstones(store)
    return Tombstones(
        urls=frozenset(_spelling(url) for one in found for url in one.urls),
        picture_ids=frozenset(name for one in found for name in one.picture_ids),
    )


def list_tombstones(store: Store) -> list[Tombstone]:
    """All of them, newest first. Raises TombstonesUnreadable."""
    found: list[Tombstone] = []
    for info in store.list(keys.TOMBSTONES):
        try:
            found.append(Tombstone.from_json(info.key, store.get(info.key)))
        except ObjectMissing:  # taken back just now
            continue
    return sorted(found, key=lambda one: (one.created_at, one.tombstone_id), reverse=True)


def add_tombstone(store: Store, tombstone: Tombstone) -> None:
    """From now on every stage that begins leaves out what it covers."""
    store.put(keys.tombstone(tombstone.tombstone_id), tombstone.to_json())


def remove_tombstone(store: Store, tombstone_id: str) -> None:
    """It was a mistake: what it covered may be used again. Raises NotFound."""
    key = keys.tombstone(tombstone_id)
    if not store.exists(key):
        raise NotFound("tombstone", tombstone_id, remedy="see `suti tombstone list`")
    store.delete(key)


def _spelling(url: str) -> str:
    try:
        return canonical_url(url)
    except ValueError:  # no URL at all, such as a port out of range: compared letter by letter
        return url.strip()
