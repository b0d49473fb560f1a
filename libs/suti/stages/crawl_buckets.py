"""Crawls that lie in an object store: with whose keys they are read."""

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cache
from urllib.parse import urlsplit

from suti.core.bucket_access import BucketAccess
from suti.infra.object_reader import ObjectReader
from suti.infra.store import Store
from suti.ml.clusters.crawl_places import ByteSource


@dataclass(frozen=True)
class CrawlBuckets:
    """The remote half of `suti.ml.clusters.crawl_places`: what `s3://` means. May be sent to other processes.

    `own` are the keys of Suti's own bucket, which reads its crawls as it reads the rest; `others` those of all others.
    """

    others: BucketAccess = field(default_factory=BucketAccess)
    own_bucket: str = ""
    own: BucketAccess = field(default_factory=BucketAccess)

    def files(self, url: str) -> list[str]:
        """All objects at a URL or below it, sorted. Raises StoreUnavailable, StoreRefused, BucketMissing."""
        bucket, key = _parts(url)
        store = self._open(bucket)
        if key and store.exists(key):
            return [url]
        return [f"s3://{bucket}/{found.key}" for found in store.list(key)]

    def open(self, path: str) -> AbstractContextManager[ByteSource]:
        """One of them, for reading. Raises the same, and ObjectMissing."""
        bucket, key = _parts(path)
        return ObjectReader(self._open(bucket), key)

    def _open(self, bucket: str) -> Store:
        return _opened(bucket, self.own if bucket == self.own_bucket else self.others)


@cache
def _opened(bucket: str, access: BucketAccess) -> Store:
    return Store.open(f"s3://{bucket}", **asdict(access))


def _parts(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/")
