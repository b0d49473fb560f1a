"""Pictures as callers of a service send them: as hostile as those from the web, and treated so."""

import io
from functools import cache
from typing import ClassVar, Protocol

from PIL import Image

from suti.core import keys
from suti.core.errors import InvalidArgument
from suti.core.limits import PICTURE_BYTES
from suti.infra.store import Store
from suti.ml.clusters.decode import DecodedPicture, PictureRefused, decode
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe

_OFFERED = (keys.DRAWN, keys.SUBJECTS, keys.OPERATIONS)  # where answers name pictures; all else is no caller's
_LIMITS = GroupingRecipe(max_picture_bytes=PICTURE_BYTES, min_side_px=8)


class SentPictureRefused(InvalidArgument):
    """A picture that was sent cannot be used; `reason` says which way, as in a run's drops."""

    reason: ClassVar[str] = "PICTURE_UNREADABLE"


class StoreKeyRefused(InvalidArgument):
    """A key that no answer ever named: what runs and jobs wrote is not shown to callers."""

    reason: ClassVar[str] = "STORE_KEY_REFUSED"


class SentPicture(Protocol):
    """The API's picture: `content`, or `store_key`."""

    @property
    def content(self) -> bytes: ...  # noqa: D102 - see the proto
    @property
    def store_key(self) -> str: ...  # noqa: D102


def open_sent(picture: SentPicture, store: Store, *, field: str) -> Image.Image:
    """The picture, upright, RGB, its longer side at most 512 px.

    Raises:
        SentPictureRefused: its bytes are no usable picture; `field` names it.
        StoreKeyRefused, ObjectMissing: its key may not be read, or leads nowhere.
    """
    content = read_sent(picture.store_key, store, field=field) if picture.store_key else picture.content
    return Image.open(io.BytesIO(decode_sent(content, field=field).png)).convert("RGB")


def read_sent(store_key: str, store: Store, *, field: str) -> bytes:
    """What lies at a key that a caller names, if it may be a picture; nothing larger is ever read.

    Raises:
        StoreKeyRefused, SentPictureRefused, ObjectMissing: the key may not be read, is too large, leads nowhere.
    """
    if not store_key.startswith(_OFFERED):
        raise StoreKeyRefused(f"{field}.store_key", f"{store_key[:64]!r}: give one that an answer named, or the bytes")
    if (size := store.size(store_key)) > PICTURE_BYTES:
        raise _refusal(Drop.PICTURE_TOO_LARGE)(field, f"{size} bytes: send at most {PICTURE_BYTES}")
    return store.get(store_key)


def decode_sent(content: bytes, *, field: str, store_side_px: int = _LIMITS.store_side_px) -> DecodedPicture:
    """The picture as Suti stores it, its longer side at most so long. Raises SentPictureRefused; `field` names it."""
    try:
        return decode(content, _LIMITS.model_copy(update={"store_side_px": store_side_px}))
    except PictureRefused as refused:
        detail = f"{refused.detail}: " if refused.detail else ""
        raise _refusal(refused.reason)(
            field,
            f"{detail}send a PNG, JPEG or WebP of at least {_LIMITS.min_side_px} pixels a side, "
            f"at most {_LIMITS.max_picture_px} pixels in all and {PICTURE_BYTES} bytes",
        ) from refused


@cache
def _refusal(reason: Drop) -> type[SentPictureRefused]:
    # `reason` belongs to the class, so each reason that a picture can be refused for has one.
    return type("SentPictureRefused", (SentPictureRefused,), {"reason": reason.value})
