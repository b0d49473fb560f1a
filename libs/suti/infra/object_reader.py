"""An object of a store as a file open for reading."""

import os
from collections import OrderedDict
from types import TracebackType
from typing import Self

from suti.infra.store import Store

_BLOCK_BYTES = 8 << 20
_KEPT_BLOCKS = 2


class ObjectReader:
    """Reads in blocks of some megabytes, so that small steps forth and back cost no request. For one thread.

    Every method but `tell` and `close` may raise what `Store.get_range` does: errors of a store are never mistaken for
    the file's end.
    """

    closed = False

    def __init__(self, store: Store, key: str, *, block_bytes: int = _BLOCK_BYTES) -> None:
        """Raises ObjectMissing, StoreUnavailable, StoreRefused."""
        self._store = store
        self._key = key
        self._block_bytes = block_bytes
        self._size = store.size(key)
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, fewer only at the end; all that is left for None and below zero."""
        left = max(self._size - self._at, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        pieces: list[bytes] = []
        while wanted:
            number, offset = divmod(self._at, self._block_bytes)
            piece = self._block(number)[offset : offset + wanted]
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Where the next read begins. Raises ValueError for places before the beginning."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"{self._key!r} has no byte {start + offset}: seek to 0 or behind")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def close(self) -> None:
        """Lets go of what was read."""
        self.closed = True
        self._blocks.clear()

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            offset = number * self._block_bytes
            length = min(self._block_bytes, self._size - offset)
            self._blocks[number] = self._store.get_range(self._key, offset=offset, length=length)
            while len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
