"""Pictures as callers send them, made demonstrations or refused with the reason that grouping would drop them for."""

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from suti.core.errors import InvalidArgument
from suti.ml.clusters.decode import PictureRefused, decode
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.recipe import GroupingRecipe
from suti.stages.generation.subjects import Demonstration, check_captions, check_count

MAX_PICTURE_BYTES = 8 * 2**20
MAX_TOTAL_BYTES = 32 * 2**20

_LIMITS = GroupingRecipe(max_picture_bytes=MAX_PICTURE_BYTES, min_side_px=8)


class DemonstrationRefused(InvalidArgument):
    """A demonstration is no usable picture; `reason` says which way, as in a run's drops."""

    reason: ClassVar[str] = "PICTURE_UNREADABLE"


class DemonstrationsTooLarge(InvalidArgument):
    """All pictures together are too much for one request."""

    reason: ClassVar[str] = "DEMONSTRATIONS_TOO_LARGE"


def decode_demonstrations(pictures: Sequence[tuple[bytes, str]]) -> tuple[Demonstration, ...]:
    """Pictures (PNG, JPEG, WebP, GIF or BMP) with captions as demonstrations, in order. Pure; may take a while.

    Raises:
        DemonstrationCount, CaptionTooLong, DemonstrationsTooLarge: what is given is outside its limits.
        DemonstrationRefused: a picture cannot be used; the field names which.
    """
    check_count(len(pictures))
    check_captions([caption for _, caption in pictures])
    if (total := sum(len(content) for content, _ in pictures)) > MAX_TOTAL_BYTES:
        raise DemonstrationsTooLarge(
            "demonstrations", f"{total} bytes together: shrink the pictures to {MAX_TOTAL_BYTES} at most"
        )
    return tuple(_decode(index, content, caption) for index, (content, caption) in enumerate(pictures))


def _decode(index: int, content: bytes, caption: str) -> Demonstration:
    try:
        decoded = decode(content, _LIMITS)
    except PictureRefused as refused:
        detail = f" ({refused.detail})" if refused.detail else ""
        raise _refusal(refused.reason)(
            f"demonstrations[{index}].picture",
            f"{refused.reason}{detail}: send a PNG, JPEG or WebP of at least {_LIMITS.min_side_px} pixels a side, "
            f"at most {_LIMITS.max_picture_px} pixels in all and {MAX_PICTURE_BYTES} bytes",
        ) from refused
    return Demonstration(png=decoded.png, caption=caption, pixels_sha256=decoded.pixels_sha256)


@cache
def _refusal(reason: Drop) -> type[DemonstrationRefused]:
    # `reason` belongs to the class, so each reason that a picture can be refused for has one.
    return type("DemonstrationRefused", (DemonstrationRefused,), {"reason": reason.value})
