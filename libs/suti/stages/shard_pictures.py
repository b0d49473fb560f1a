"""The pictures that rows point to, read from a commit's tars one at a time."""

import hashlib
import io
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from suti.core.errors import PermanentError
from suti.infra.ledger import Commit, Ledger


class PictureChanged(PermanentError):
    """The pixels in the store are not those that the row was written with."""

    reason = "PICTURE_CHANGED"
    grpc_code = "DATA_LOSS"


class StoredPicture(Protocol):
    """A row that names a picture's bytes and pixels: PictureRow, CandidateRow."""

    @property
    def part(self) -> str: ...  # noqa: D102 - the row types say what it is
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def size_bytes(self) -> int: ...  # noqa: D102
    @property
    def pixels_sha256(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class ShardPictures:
    """The pictures of one commit. Reads ranges, so that memory does not grow with the shard."""

    ledger: Ledger
    commit: Commit

    def png(self, row: StoredPicture) -> bytes:
        """The picture's bytes as stored."""
        key = self.commit.part(row.part).key
        return self.ledger.store.get_range(key, offset=row.offset, length=row.size_bytes)

    def open(self, row: StoredPicture) -> Image.Image:
        """The picture, RGB. Raises PictureChanged where it is not the one that the row was written with."""
        try:
            picture = Image.open(io.BytesIO(self.png(row)), formats=["PNG"]).convert("RGB")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise PictureChanged(f"a picture in {row.part} is no PNG ({error}): the store lost bytes") from error
        if hashlib.sha256(picture.tobytes()).hexdigest() != row.pixels_sha256:
            raise PictureChanged(f"a picture in {row.part} has other pixels than its row says: the store lost bytes")
        return picture
