"""Pictures in one uncompressed tar: any `tar` opens it, and a row's (offset, size) finds one picture in it."""

import io
import tarfile
from typing import ClassVar

from suti.core.errors import InvalidArgument, PermanentError


class PictureOutsideTar(PermanentError):
    """A row names bytes that its tar does not have."""

    reason: ClassVar[str] = "PICTURE_OUTSIDE_TAR"
    grpc_code = "DATA_LOSS"


class PictureTarWriter:
    """Collects pictures; the same names and bytes in the same order make the same tar."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        # GNU format: names of any length, and no header that carries times or owners.
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8")  # noqa: SIM115 - closed by finish
        self._places: dict[str, tuple[int, int]] = {}

    def add(self, name: str, png: bytes) -> tuple[int, int]:
        """Appends a picture; returns (offset, size_bytes) of its bytes inside the tar.

        A picture that is there already under that name is not stored again.

        Raises:
            InvalidArgument: empty name, or other bytes under a name that is taken.
        """
        if not name:
            raise InvalidArgument("name", "is empty: name the picture by its id")
        if name in self._places:
            offset, size_bytes = self._places[name]
            if bytes(self._buffer.getbuffer()[offset : offset + size_bytes]) != png:
                raise InvalidArgument("name", f"{name!r} holds another picture already: name pictures by content")
            return offset, size_bytes
        header = tarfile.TarInfo(name)  # mtime, uid and gid are 0
        header.size = len(png)
        self._tar.addfile(header, io.BytesIO(png))
        padded = -(-len(png) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        self._places[name] = (self._buffer.tell() - padded, len(png))
        return self._places[name]

    def finish(self) -> bytes:
        """The whole tar. Nothing can be added afterwards."""
        self._tar.close()
        return self._buffer.getvalue()


def read_picture(tar: bytes, offset: int, size_bytes: int) -> bytes:
    """One picture's bytes. Raises PictureOutsideTar."""
    if offset < 0 or size_bytes < 0 or offset + size_bytes > len(tar):
        raise PictureOutsideTar(f"a tar of {len(tar)} bytes has no {size_bytes} at {offset}: write its shard anew")
    return tar[offset : offset + size_bytes]
