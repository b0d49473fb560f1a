"""Where everything is kept: one small port over obstore, the same for a local folder and for any S3.

Calls block; an asyncio service makes them through `asyncio.to_thread`. A `Store` may be used by many threads at once,
and must not be carried over a fork (open a new one).
"""

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import unquote, urlsplit

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from suti.core.errors import BadConfiguration, NotFound, PermanentError, RetryableError

if TYPE_CHECKING:  # obstore has these as types alone
    from obstore.store import ClientConfig, RetryConfig

# How refusals look that obstore has no class for: a listing's, a local folder's.
_REFUSAL = re.compile(r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|Permission denied")
# Local files end in #<number> while they are written; obstore drops a leading slash without a word.
_UNFIT_KEY = re.compile(r"^$|/$|^/|//|(^|/)\.{1,2}(/|$)|#\d+(/|$)|[\x00-\x1f\x7f]")

# A call that meets a dead server gives up within about half a minute; whoever called decides what is next.
_RETRY: "RetryConfig" = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
_CONNECT_TIMEOUT = timedelta(seconds=5)
_CALL_TIMEOUT = timedelta(minutes=5)  # one part may be hundreds of megabytes


class ObjectMissing(NotFound):
    """The store has no object of that key; retrying cannot help."""

    reason: ClassVar[str] = "OBJECT_MISSING"

    def __init__(self, key: str) -> None:
        super().__init__("object", key, remedy="check that the run's data was not deleted")
        self.key = key


class RangeOutsideObject(PermanentError):
    """A row names bytes that its object does not have."""

    reason: ClassVar[str] = "RANGE_OUTSIDE_OBJECT"

    def __init__(self, key: str, *, offset: int, length: int) -> None:
        super().__init__(f"object {key!r} has no {length} bytes at {offset}: check that it was written whole")


class BadKey(PermanentError):
    """A key that no store can hold: empty, with `..`, an empty segment or a leading slash."""

    reason: ClassVar[str] = "BAD_KEY"


class StoreUnavailable(RetryableError):
    """The store did not answer in time, or answered that it cannot just now."""

    reason: ClassVar[str] = "STORE_UNAVAILABLE"


class StoreRefused(BadConfiguration):
    """The store knows us not, or does not let us do this."""

    reason: ClassVar[str] = "STORE_REFUSED"
    grpc_code = "PERMISSION_DENIED"


class BucketMissing(BadConfiguration):
    """The store answers, but has no bucket of that name."""

    reason: ClassVar[str] = "BUCKET_MISSING"


class BadStoreUrl(BadConfiguration):
    """The store's address is none that we can open."""

    reason: ClassVar[str] = "BAD_STORE_URL"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing."""

    key: str
    size_bytes: int
    modified: datetime


class Store:
    """Objects by key. Writes are whole or not at all; `create` is the one conditional write all commits rest on."""

    url: str

    def __init__(self, backend: LocalStore | S3Store, *, url: str) -> None:
        self._backend = backend
        self.url = url

    @classmethod
    def open(
        cls,
        url: str,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        allow_http: bool | None = False,
    ) -> Self:
        """The store at `file:///path` (the folder is made) or `s3://bucket/prefix` (the bucket must exist).

        Without keys, S3 credentials come from where the AWS SDKs look for them (environment, web identity, instance);
        so does `allow_http` (AWS_ALLOW_HTTP) where it is None.
        Opening does not touch the network: a wrong address or key shows at the first call.

        Raises:
            BadStoreUrl: another scheme, no bucket, no absolute path, or a folder that cannot be made.
        """
        parts = urlsplit(url)
        if parts.scheme == "file":
            return cls(_open_folder(url), url=url)
        if parts.scheme != "s3" or not parts.netloc:
            raise BadStoreUrl(f"cannot open store {url!r}: give file:///absolute/path or s3://bucket/prefix")
        if allow_http is None:  # obstore does not look itself where other client options are given
            allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in {"true", "1"}
        client: ClientConfig = {
            "allow_http": allow_http,
            "connect_timeout": _CONNECT_TIMEOUT,
            "timeout": _CALL_TIMEOUT,
        }
        named = {"access_key_id": access_key, "secret_access_key": secret_key, "endpoint": endpoint, "region": region}
        given = {name: value for name, value in named.items() if value is not None}
        try:
            backend = S3Store(
                parts.netloc,
                prefix=parts.path.strip("/") or None,
                client_options=client,
                retry_config=_RETRY,
                **given,  # pyright: ignore[reportArgumentType] - a TypedDict cannot be unpacked from a filtered dict
            )
        except (BaseError, ValueError) as error:
            raise BadStoreUrl(
                f"cannot open store {url!r} ({_first_line(error)}): check address, region and keys"
            ) from error
        return cls(backend, url=url)

    def get(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""
        with self._errors(key):
            return self._backend.get(key).bytes().to_bytes()

    def get_range(self, key: str, *, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`. Raises ObjectMissing, RangeOutsideObject."""
        if offset < 0 or length < 0:
            raise RangeOutsideObject(key, offset=offset, length=length)
        if length == 0:  # not a range to either backend
            if offset > self.size(key):
                raise RangeOutsideObject(key, offset=offset, length=length)
            return b""
        with self._errors(key):
            try:
                data = self._backend.get_range(key, start=offset, length=length).to_bytes()
            except GenericError as error:
                if "range" in str(error).lower() and offset >= self.size(key):
                    raise RangeOutsideObject(key, offset=offset, length=length) from error
                raise
        if len(data) != length:  # a range that overlaps the end is cut, not refused
            raise RangeOutsideObject(key, offset=offset, length=length)
        return data

    def put(self, key: str, data: bytes) -> None:
        """The object is `data` from now on. Readers see the old or the new bytes, never a mixture."""
        with self._errors(key):
            self._backend.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """The object is `data` if there was none: True for exactly one of any number of racing writers.

        False can also follow a write of our own whose answer was lost and that was sent again, so a writer that must
        know whether it won compares what stands there with what it wrote.
        """
        with self._errors(key):
            try:
                # One request, not a multipart upload: only a single put can be conditional.
                self._backend.put(key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """There is no such object from now on; no error if there was none."""
        try:
            with self._errors(key):
                self._backend.delete(key)
        except ObjectMissing:
            return

    def exists(self, key: str) -> bool:
        """Whether there is an object of exactly that key."""
        try:
            self.size(key)
        except ObjectMissing:
            return False
        return True

    def size(self, key: str) -> int:
        """The object's size in bytes. Raises ObjectMissing."""
        with self._errors(key):
            return self._backend.head(key)["size"]

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects under a folder (`runs/`; empty for all), however deep, sorted by key.

        The listing is read whole before the first object comes, so that objects may be deleted while it is walked.
        """
        folder = prefix.removesuffix("/")
        with self._errors(folder, folder=True):
            found = [meta for page in self._backend.list(folder or None, chunk_size=1000) for meta in page]
        for meta in sorted(found, key=lambda meta: meta["path"]):
            yield ObjectInfo(key=meta["path"], size_bytes=meta["size"], modified=meta["last_modified"])

    def folders(self, folder: str) -> tuple[str, ...]:
        """The names directly below a folder that have objects below themselves, sorted; no listing of those objects."""
        folder = folder.removesuffix("/")
        with self._errors(folder, folder=True):
            found = self._backend.list_with_delimiter(folder or None)["common_prefixes"]
        return tuple(sorted(prefix.rstrip("/").rsplit("/", maxsplit=1)[-1] for prefix in found))

    @contextmanager
    def _errors(self, key: str, *, folder: bool = False) -> Generator[None]:
        """Gives the backend's errors our names, and lets no key through that only one of the backends can hold."""
        if _UNFIT_KEY.search(key) and not (key == "" and folder):
            raise BadKey(f"{key!r} cannot be a key: use names joined by single slashes, without # before a number")
        try:
            yield
        except (FileNotFoundError, BaseError, OSError, ValueError) as error:
            raise _named(error, key=key, url=self.url) from error


def _open_folder(url: str) -> LocalStore:
    parts = urlsplit(url)
    folder = Path(unquote(parts.path))
    if parts.netloc or not folder.is_absolute():
        raise BadStoreUrl(f"cannot open store {url!r}: a local store is file:/// and an absolute path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadStoreUrl(f"cannot make the folder of store {url!r} ({error}): give one that may be written") from error
    return LocalStore(folder)


def _named(error: Exception, *, key: str, url: str) -> Exception:
    text = str(error)
    if "NoSuchBucket" in text:
        return BucketMissing(f"store {url!r} has no such bucket: create it, or correct the address")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(key)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REFUSAL.search(text):
        return StoreRefused(f"store {url!r} refused {key!r} ({_first_line(error)}): check its keys and their policy")
    if isinstance(error, ValueError | InvalidPathError) or "InvalidPath" in text:
        return BadKey(f"{key!r} cannot be a key ({_first_line(error)}): use names joined by single slashes")
    return StoreUnavailable(
        f"store {url!r} failed at {key!r} ({_first_line(error)}): the call is safe to repeat; check that the store runs"
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0]
