"""Pictures as callers send them, made demonstrations or refused with the reason that grouping would drop them for."""

from collections.abc import Sequence
from typing import ClassVar

from suti.core.errors import InvalidArgument
from suti.core.limits import PICTURES_BYTES
from suti.stages.generation.subjects import Demonstration, check_captions, check_count
from suti.stages.sent_pictures import decode_sent


class DemonstrationsTooLarge(InvalidArgument):
    """All pictures together are too much for one request."""

    reason: ClassVar[str] = "DEMONSTRATIONS_TOO_LARGE"


def decode_demonstrations(pictures: Sequence[tuple[bytes, str]]) -> tuple[Demonstration, ...]:
    """Pictures (PNG, JPEG, WebP, GIF or BMP) with captions as demonstrations, in order. Pure; may take a while.

    Raises:
        DemonstrationCount, CaptionTooLong, DemonstrationsTooLarge: what is given is outside its limits.
        SentPictureRefused: a picture cannot be used; the field names which.
    """
    check_count(len(pictures))
    check_captions([caption for _, caption in pictures])
    if (total := sum(len(content) for content, _ in pictures)) > PICTURES_BYTES:
        raise DemonstrationsTooLarge(
            "demonstrations", f"{total} bytes together: shrink the pictures to {PICTURES_BYTES} at most"
        )
    decoded = [
        decode_sent(content, field=f"demonstrations[{index}].picture") for index, (content, _) in enumerate(pictures)
    ]
    return tuple(
        Demonstration(png=one.png, caption=caption, pixels_sha256=one.pixels_sha256)
        for one, (_, caption) in zip(decoded, pictures, strict=True)
    )
