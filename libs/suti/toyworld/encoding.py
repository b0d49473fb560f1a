"""Picture files as servers send them: three formats, several qualities, and some that nobody can open."""

import io
import random
from dataclasses import dataclass

from PIL import Image

_NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body>Not Found</body></html>"
_NOT_A_PICTURE = b"<html><body>Please enable JavaScript to view this picture.</body></html>\n"
_FORMATS = (("JPEG", "jpg", "image/jpeg"), ("PNG", "png", "image/png"), ("WEBP", "webp", "image/webp"))
_WEIGHTS = (5, 3, 2)


@dataclass(frozen=True)
class PictureFile:
    """A server's answer and the extension of the address it stands at."""

    extension: str
    content_type: str
    body: bytes


def encoded(image: Image.Image, *, choose: random.Random) -> PictureFile:
    """A picture as a shop would serve it."""
    kind, extension, content_type = choose.choices(_FORMATS, _WEIGHTS)[0]
    return PictureFile(extension, content_type, _file(image, kind, choose.choice((85, 92, 95))))


def reencoded(image: Image.Image, *, choose: random.Random) -> PictureFile:
    """The same picture in another size and quality."""
    side = round(image.width * choose.choice((0.75, 0.9, 1.2)))
    resized = image.resize((side, side), Image.Resampling.LANCZOS)
    return PictureFile("jpg", "image/jpeg", _file(resized, "JPEG", choose.choice((80, 90))))


def icon(image: Image.Image) -> PictureFile:
    """The same picture in a size that is of no use to anybody."""
    return PictureFile("png", "image/png", _file(image.resize((8, 8)), "PNG", 0))


def truncated(image: Image.Image, *, choose: random.Random) -> PictureFile:
    """The first third of a picture's file."""
    whole = encoded(image, choose=choose)
    return PictureFile(whole.extension, whole.content_type, whole.body[: len(whole.body) // 3])


NOT_A_PICTURE = PictureFile("jpg", "image/jpeg", _NOT_A_PICTURE)
EMPTY = PictureFile("jpg", "image/jpeg", b"")
NOT_FOUND = PictureFile("jpg", "text/html", _NOT_FOUND)


def _file(image: Image.Image, kind: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    if kind == "PNG":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, kind, quality=quality)
    return buffer.getvalue()
