"""Pictures as files that lose nothing."""

import io

from PIL import Image


def png_of(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
