"""Where a crawl's files lie, and how they are opened. Files of this machine here; object stores are handed in."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from suti.ml.clusters.warc_frames import ByteSource

REMOTE = "s3://"


class Remote(Protocol):
    """What an object store must offer. Sent to the processes that read, so it holds settings and no connections."""

    def files(self, url: str) -> list[str]:
        """The URLs of all objects at `url` or below it, sorted."""
        ...

    def open(self, path: str) -> AbstractContextManager[ByteSource]:
        """One of them, for reading. Errors of the store are none of OSError and ValueError, which mean damage."""
        ...


class NoRemote:
    """Files of this machine alone."""

    def files(self, url: str) -> list[str]:
        """Nothing is anywhere else."""
        del url
        return []

    def open(self, path: str) -> AbstractContextManager[ByteSource]:
        """Nothing to open."""
        raise LookupError(path)


def is_remote(url: str) -> bool:
    """Whether it lies in an object store."""
    return url.startswith(REMOTE)


def local_place(url: str) -> Path:
    """The path that a plain path or a file:// URL means."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else Path(url)


def opened(path: str, remote: Remote) -> AbstractContextManager[ByteSource]:
    """A file of either kind, open for reading."""
    return remote.open(path) if is_remote(path) else Path(path).open("rb")


__all__ = ["REMOTE", "ByteSource", "NoRemote", "Remote", "is_remote", "local_place", "opened"]
