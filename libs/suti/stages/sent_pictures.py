"""Pictures as callers of a service send them: as hostile as those from the web, and treated so."""

import io
from functools import cache
from typing import ClassVar, Protocol

from PIL import Image

from suti.core.errors import InvalidArgument
from suti.infra.store import Store
from suti.ml.clusters.decode import DecodedPicture, PictureRefused, decode
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe

MAX_BYTES = 8 * 2**20

_LIMITS = GroupingRecipe(max_picture_bytes=MAX_BYTES, min_side_px=8)


class SentPictureRefused(InvalidArgument):
    """A picture that was sent cannot be used; `reason` says which way, as in a run's drops."""

    reason: ClassVar[str] = "PICTURE_UNREADABLE"


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
        ObjectMissing: its key leads nowhere.
    """
    content = store.get(picture.store_key) if picture.store_key else picture.content
    return Image.open(io.BytesIO(decode_sent(content, field=field).png)).convert("RGB")


def decode_sent(content: bytes, *, field: str) -> DecodedPicture:
    """The picture as Suti stores it. Raises SentPictureRefused; `field` names it."""
    try:
        return decode(content, _LIMITS)
    except PictureRefused as refused:
        detail = f" ({refused.detail})" if refused.detail else ""
        raise _refusal(refused.reason)(
            field,
            f"{refused.reason}{detail}: send a PNG, JPEG or WebP of at least {_LIMITS.min_side_px} pixels a side, "
            f"at most {_LIMITS.max_picture_px} pixels in all and {MAX_BYTES} bytes",
        ) from refused


@cache
def _refusal(reason: Drop) -> type[SentPictureRefused]:
    # `reason` belongs to the class, so each reason that a picture can be refused for has one.
    return type("SentPictureRefused", (SentPictureRefused,), {"reason": reason.value})
