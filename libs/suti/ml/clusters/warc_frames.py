"""Where the records of a WARC file begin and end, also after damage. What is in them is `warc`'s business.

Records are found by their own lengths. After a record that is cut short, has a wrong length or does not match its
checksum, reading goes on at the next place that looks like a record's beginning.
"""

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

_CHUNK_BYTES = 1 << 20
_MEMBER_CHUNK_BYTES = 128 * 1024  # most members are one picture or one page
_MAX_HEADER_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b\x08"
_LINE_ENDS = re.compile(rb"[\r\n]+")
_BEGINNING = re.compile(rb"WARC/[01]\.\d+\r?\n")
_LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_DIGEST = re.compile(rb"^WARC-Block-Digest:[ \t]*(sha1|sha256|md5):(\S+)", re.IGNORECASE | re.MULTILINE)


class ByteSource(Protocol):
    """A file open for reading; a file on disk, an object in a store."""

    def read(self, size: int, /) -> bytes: ...  # noqa: D102 - as of any file
    def seek(self, offset: int, /) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole record: header block (with its blank line) and content block."""

    offset: int  # of the record, or of the gzip member that it is in
    header: bytes
    block: bytes
    skipped_bytes: int = 0  # the block's length where it was too large to be kept; `block` is empty then


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where no record could be read."""

    offset: int
    detail: str


def frames(source: ByteSource, *, max_block_bytes: int) -> Iterator[Frame | Damage]:
    """All records of a WARC file, plain or gzip (by record or as one), in the file's order. Never raises for content.

    A file that is no WARC yields one Damage. Blocks larger than `max_block_bytes` are skipped over.
    """
    head = source.read(len(_GZIP_MAGIC))
    source.seek(0)
    if not head:
        yield Damage(0, "the file is empty")
    elif head == _GZIP_MAGIC:
        yield from _gzip_frames(source, max_block_bytes)
    else:
        yield from _plain_frames(source, max_block_bytes)


def _plain_frames(source: ByteSource, max_block_bytes: int) -> Iterator[Frame | Damage]:
    framing = _Framing(0, max_block_bytes)
    while chunk := source.read(_CHUNK_BYTES):
        yield from framing.feed(chunk)
    yield from framing.finish()


def _gzip_frames(source: ByteSource, max_block_bytes: int) -> Iterator[Frame | Damage]:
    position: int | None = 0
    damaged = False  # within one damaged stretch, false beginnings are not told again
    while position is not None:
        member = _Member(source, position)
        framing = _Framing(position, max_block_bytes, by_member=True)
        held: Frame | Damage | None = None  # the last one waits for the member's checksum
        for plain in member.chunks():
            for item in framing.feed(plain):
                if held is not None:
                    yield held
                held = item
        if member.end is None:
            begun = framing.frames > 0 or framing.has_begun
            if held is not None and not isinstance(held, Frame):
                yield held
            elif begun or not damaged:
                yield Damage(position, "compressed data is damaged or cut short")
            damaged = True
            position = _find(source, _GZIP_MAGIC, position + 1)
            continue
        rest = [*([held] if held is not None else []), *framing.finish()]
        if not (damaged and framing.frames == 0):
            yield from rest
        damaged = damaged and framing.frames == 0
        position = _next_member(source, member.end)


class _Member:
    """One gzip member. `end` is the offset behind it once it was read whole, None while not or if it is damaged."""

    def __init__(self, source: ByteSource, offset: int) -> None:
        self.end: int | None = None
        self._source = source
        self._offset = offset

    def chunks(self) -> Iterator[bytes]:
        """The decompressed bytes, in bounded pieces."""
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        read = self._offset
        while not inflate.eof:
            self._source.seek(read)
            data = self._source.read(_MEMBER_CHUNK_BYTES)
            if not data:
                return
            read += len(data)
            while data and not inflate.eof:
                try:
                    yield inflate.decompress(data, _CHUNK_BYTES)
                except zlib.error:
                    return
                data = inflate.unconsumed_tail
        self.end = read - len(inflate.unused_data)


def _next_member(source: ByteSource, offset: int) -> int | None:
    source.seek(offset)
    head = source.read(len(_GZIP_MAGIC))
    if not head:
        return None
    return offset if head == _GZIP_MAGIC else _find(source, _GZIP_MAGIC, offset)


def _find(source: ByteSource, wanted: bytes, offset: int) -> int | None:
    source.seek(offset)
    window, start = b"", offset
    while chunk := source.read(_CHUNK_BYTES):
        window += chunk
        if (found := window.find(wanted)) >= 0:
            return start + found
        keep = len(wanted) - 1
        start += max(len(window) - keep, 0)
        window = window[-keep:]
    return None


class _Framing:
    """Cuts decompressed bytes into records as they come."""

    def __init__(self, offset: int, max_block_bytes: int, *, by_member: bool = False) -> None:
        self.frames = 0
        self._buffer = bytearray()
        self._offset = offset  # of the buffer's first byte; of the member if by_member
        self._by_member = by_member
        self._max_block_bytes = max_block_bytes
        self._to_skip = 0
        self._lost = False  # looking for the next beginning

    @property
    def has_begun(self) -> bool:
        """Whether the buffer holds the beginning of a record."""
        return _BEGINNING.match(self._buffer) is not None or self._to_skip > 0

    def feed(self, data: bytes) -> Iterator[Frame | Damage]:
        """The records that are whole with these bytes."""
        if self._to_skip:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            self._move(skipped)
            data = data[skipped:]
        self._buffer += data
        yield from self._cut(last=False)

    def finish(self) -> Iterator[Frame | Damage]:
        """What is left when no more bytes come."""
        yield from self._cut(last=True)
        if self._to_skip:
            yield Damage(self._offset, "the file ends within a record")

    def _cut(self, *, last: bool) -> Iterator[Frame | Damage]:
        while True:
            self._drop_line_ends()
            if not self._buffer:
                return
            item = self._next(last=last)
            if item is None:
                return
            if isinstance(item, Frame):
                self.frames += 1
                self._lost = False
                yield item
            elif not self._lost:
                self._lost = True
                yield item

    def _next(self, *, last: bool) -> Frame | Damage | None:
        """One record, one damage, or None where more bytes are needed."""
        header_end = _header_end(self._buffer)
        if _BEGINNING.match(self._buffer) is None or header_end is None:
            if not last and len(self._buffer) < _MAX_HEADER_BYTES:
                return None
            return self._skip_to_beginning("no WARC record begins here", last=last)
        header = bytes(self._buffer[:header_end])
        length = _LENGTH.search(header)
        if length is None:
            return self._skip_to_beginning("a record without Content-Length", last=last)
        block_bytes = int(length[1])
        if block_bytes > self._max_block_bytes:
            return self._skip_block(header, block_bytes)
        if len(self._buffer) < header_end + block_bytes + 4 and not last:
            return None
        return self._whole(header, block_bytes, last=last)

    def _whole(self, header: bytes, block_bytes: int, *, last: bool) -> Frame | Damage:
        """The record whose bytes are all there, unless they are not what its header says."""
        end = len(header) + block_bytes
        if len(self._buffer) < end:
            return self._skip_to_beginning("the file ends within a record", last=last)
        block = bytes(self._buffer[len(header) : end])
        follows = bytes(self._buffer[end : end + 4])
        if follows and not follows.startswith((b"\r\n", b"\n", b"WARC")):
            return self._skip_to_beginning("a record is longer or shorter than it says", last=last)
        whole: Frame | Damage = Frame(self._offset, header, block)
        if not _matches_digest(header, block):
            whole = Damage(self._offset, "a record does not match its checksum")
        self._move_buffer(end)
        return whole

    def _skip_block(self, header: bytes, block_bytes: int) -> Frame:
        frame = Frame(self._offset, header, b"", skipped_bytes=block_bytes)
        total = len(header) + block_bytes
        self._to_skip = max(total - len(self._buffer), 0)
        self._move_buffer(min(total, len(self._buffer)))
        return frame

    def _skip_to_beginning(self, detail: str, *, last: bool) -> Damage:
        damage = Damage(self._offset, detail)
        found = _BEGINNING.search(self._buffer, 1)
        if found is not None:
            self._move_buffer(found.start())
        else:  # a beginning may straddle two pieces
            self._move_buffer(len(self._buffer) if last else max(len(self._buffer) - 12, 1))
        return damage

    def _drop_line_ends(self) -> None:
        if (line_ends := _LINE_ENDS.match(self._buffer)) is not None:
            self._move_buffer(line_ends.end())

    def _move_buffer(self, count: int) -> None:
        del self._buffer[:count]
        self._move(count)

    def _move(self, count: int) -> None:
        if not self._by_member:
            self._offset += count


def _header_end(buffer: bytearray) -> int | None:
    ends = [
        place + len(mark)
        for mark in (b"\r\n\r\n", b"\n\n")
        if (place := buffer.find(mark, 0, _MAX_HEADER_BYTES + len(mark))) >= 0
    ]
    return min(ends, default=None)


def _matches_digest(header: bytes, block: bytes) -> bool:
    stated = _DIGEST.search(header)
    if stated is None:
        return True
    name, value = stated[1].decode().lower(), stated[2].decode("ascii", "replace")
    actual = hashlib.new(name, block, usedforsecurity=False).digest()
    if len(value) == 2 * len(actual):
        return value.lower() == actual.hex()
    try:
        return base64.b32decode(value.upper() + "=" * (-len(value) % 8)) == actual
    except binascii.Error:
        return True  # an encoding that we do not know proves nothing
