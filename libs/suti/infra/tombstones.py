"""What must not be used any more: pictures and URLs that somebody wants out. Commits stay, readers subtract."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from suti.core import keys
from suti.core.errors import BadConfiguration
from suti.core.ids import canonical_url
from suti.core.records import PictureRow
from suti.infra.store import ObjectMissing, Store

_FORMAT = 1


class TombstonesUnreadable(BadConfiguration):
    """The list cannot be read. Nothing may go on as if it were empty."""

    reason: ClassVar[str] = "TOMBSTONES_UNREADABLE"


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Canonical URLs (of pages or of pictures) and picture ids (SHA-256 over the bytes as crawled)."""

    urls: frozenset[str] = frozenset()
    picture_ids: frozenset[str] = frozenset()

    def covers(self, *, picture_id: str = "", url: str = "") -> bool:
        """Whether a picture with that id, or anything from that page or picture URL, must not be used."""
        return picture_id in self.picture_ids or (bool(url) and _spelling(url) in self.urls)

    def covers_row(self, row: PictureRow) -> bool:
        """Whether a picture must not be used: for its bytes, its own URL, or its page."""
        return self.covers(picture_id=row.picture_id, url=row.picture_url) or self.covers(url=row.page_url)


def load_tombstones(store: Store) -> Tombstones:
    """The store's list; an empty one if there is none. Raises TombstonesUnreadable."""
    try:
        data = store.get(keys.TOMBSTONES)
    except ObjectMissing:
        return Tombstones()
    try:
        fields = cast("dict[str, Any]", json.loads(data))
        if fields["format"] > _FORMAT:
            raise TombstonesUnreadable(f"{keys.TOMBSTONES} has format {fields['format']}: install a newer Suti")
        return Tombstones(
            urls=frozenset(_spelling(url) for url in fields["urls"]),
            picture_ids=frozenset(str(name).lower() for name in fields["picture_ids"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TombstonesUnreadable(
            f'{keys.TOMBSTONES} is no tombstone list ({error!r}): write {{"format": 1, "urls": [], "picture_ids": []}}'
        ) from error


def add_tombstones(store: Store, *, urls: Iterable[str] = (), picture_ids: Iterable[str] = ()) -> Tombstones:
    """The list with these added, stored. For one administrator at a time: of two at once the last one's list stands."""
    old = load_tombstones(store)
    new = Tombstones(
        urls=old.urls | {_spelling(url) for url in urls},
        picture_ids=old.picture_ids | {name.lower() for name in picture_ids},
    )
    listed = {"format": _FORMAT, "urls": sorted(new.urls), "picture_ids": sorted(new.picture_ids)}
    store.put(keys.TOMBSTONES, json.dumps(listed, ensure_ascii=False, indent=1).encode())
    return new


def _spelling(url: str) -> str:
    try:
        return canonical_url(url)
    except ValueError:  # no URL at all, such as a port out of range: compared letter by letter
        return url.strip()
