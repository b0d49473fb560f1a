"""Subjects as callers register them: demonstrations that lie in the store until they are deleted."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import ClassVar

from suti.core import keys
from suti.core.errors import InvalidArgument, NotFound
from suti.core.fields import known_fields
from suti.core.ids import new_subject_id
from suti.infra.store import ObjectMissing, Store

MAX_DEMONSTRATIONS = 10
MAX_CAPTION_CHARS = 1_000
MAX_NAME_CHARS = 200

_RECORD = "subject.json"


class DemonstrationCount(InvalidArgument):
    """Too few or too many pictures of a subject."""

    reason: ClassVar[str] = "DEMONSTRATION_COUNT"


class CaptionTooLong(InvalidArgument):
    """A caption is longer than any model reads."""

    reason: ClassVar[str] = "CAPTION_TOO_LONG"


class SubjectMissing(NotFound):
    """Nobody registered a subject of that id, or somebody deleted it."""

    reason: ClassVar[str] = "NO_SUBJECT"

    def __init__(self, subject_id: str) -> None:
        super().__init__("subject", subject_id[:64], remedy="register it first, or see `suti subject list`")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A picture of a subject with its caption; the picture decoded, upright and RGB, as PNG."""

    png: bytes
    caption: str
    pixels_sha256: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A registered subject without its pictures."""

    subject_id: str
    display_name: str
    captions: tuple[str, ...]
    pixels_sha256: tuple[str, ...]
    created_at: str  # RFC 3339
    created_by: str
    digest: str


def check_count(count: int) -> None:
    """Raises DemonstrationCount unless a model can look at so many pictures at once."""
    if not 1 <= count <= MAX_DEMONSTRATIONS:
        raise DemonstrationCount(
            "demonstrations", f"{count} pictures: send 1 to {MAX_DEMONSTRATIONS}; 3 to 5 work best"
        )


def check_captions(captions: Sequence[str]) -> None:
    """Raises CaptionTooLong for the first caption that is."""
    for index, caption in enumerate(captions):
        if len(caption) > MAX_CAPTION_CHARS:
            raise CaptionTooLong(
                f"demonstrations[{index}].caption", f"{len(caption)} characters: send at most {MAX_CAPTION_CHARS}"
            )


def digest_of(demonstrations: Sequence[Demonstration]) -> str:
    """SHA-256 (hex) over pictures and captions in order; equal subjects have equal digests."""
    total = hashlib.sha256()
    for one in demonstrations:
        caption = one.caption.encode()
        total.update(bytes.fromhex(one.pixels_sha256) + len(caption).to_bytes(8, "big") + caption)
    return total.hexdigest()


class SubjectRepository:
    """The registered subjects. A subject is there from the moment that its record is."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, demonstrations: Sequence[Demonstration], *, display_name: str, created_by: str) -> Subject:
        """Keeps the demonstrations under a new id.

        Raises:
            DemonstrationCount, CaptionTooLong, InvalidArgument: what is given is outside its limits.
        """
        check_count(len(demonstrations))
        check_captions([one.caption for one in demonstrations])
        if len(display_name) > MAX_NAME_CHARS:
            raise InvalidArgument("display_name", f"{len(display_name)} characters: send at most {MAX_NAME_CHARS}")
        subject = Subject(
            subject_id=new_subject_id(),
            display_name=display_name,
            captions=tuple(one.caption for one in demonstrations),
            pixels_sha256=tuple(one.pixels_sha256 for one in demonstrations),
            created_at=datetime.now(UTC).isoformat(),
            created_by=created_by,
            digest=digest_of(demonstrations),
        )
        for index, one in enumerate(demonstrations):
            self._store.put(_picture(subject.subject_id, index), one.png)
        self._store.put(keys.subject(subject.subject_id, _RECORD), json.dumps(asdict(subject)).encode())
        return subject

    def get(self, subject_id: str) -> Subject:
        """The subject. Raises SubjectMissing."""
        if not subject_id.isalnum():
            raise SubjectMissing(subject_id)
        try:
            found = json.loads(self._store.get(keys.subject(subject_id, _RECORD)))
        except ObjectMissing:
            raise SubjectMissing(subject_id) from None
        known = known_fields(Subject, found)
        known |= {name: tuple(found[name]) for name in ("captions", "pixels_sha256")}
        return Subject(**known)

    def demonstrations(self, subject: Subject) -> tuple[Demonstration, ...]:
        """The subject's pictures with their captions. Raises SubjectMissing if it was deleted meanwhile."""
        try:
            return tuple(
                Demonstration(self._store.get(_picture(subject.subject_id, index)), caption, pixels)
                for index, (caption, pixels) in enumerate(zip(subject.captions, subject.pixels_sha256, strict=True))
            )
        except ObjectMissing:
            raise SubjectMissing(subject.subject_id) from None

    def list(self, *, after: str = "") -> Iterator[Subject]:
        """All subjects, newest first; `after` an id, those that are older."""
        for subject_id in reversed(self._store.folders(keys.SUBJECTS)):
            if after and subject_id >= after:
                continue
            try:
                yield self.get(subject_id)
            except SubjectMissing:  # just being written or deleted
                continue

    def delete(self, subject_id: str) -> Subject:
        """Deletes the subject and everything computed from it; returns what it was. Raises SubjectMissing."""
        subject = self.get(subject_id)
        self._store.delete(keys.subject(subject_id, _RECORD))
        for info in list(self._store.list(keys.subject(subject_id, ""))):
            self._store.delete(info.key)
        return subject


def _picture(subject_id: str, index: int) -> str:
    return keys.subject(subject_id, f"{index:02d}.png")
