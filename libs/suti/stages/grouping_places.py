"""Where a grouping is worked out: in this process with a folder of its own, or on a Ray cluster beside the store."""

import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from suti.core import keys
from suti.core.bucket_access import BucketAccess
from suti.core.records import Stage
from suti.infra.ledger import Ledger
from suti.ml.clusters.engine import require_ray, use_ray


class GroupingPlace(Protocol):
    """Makes all ready and gives the empty folder (or URL) in which tables lie between two steps."""

    def scratch(self, ledger: Ledger, *, fence: str | None) -> AbstractContextManager[str]: ...  # noqa: D102


class ThisProcess:
    """All cores of this machine."""

    @contextmanager
    def scratch(self, ledger: Ledger, *, fence: str | None) -> Generator[str]:
        """A temporary folder."""
        del ledger, fence
        with tempfile.TemporaryDirectory(prefix="suti-grouping-") as folder:
            yield folder


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster. What all of its nodes see is the store, so tables lie there, and are deleted in the end.

    Raises RayMissing, so that a service without Ray does not start, and no run waits for it.
    """

    address: str
    access: BucketAccess

    def __post_init__(self) -> None:
        require_ray(self.address)

    @contextmanager
    def scratch(self, ledger: Ledger, *, fence: str | None) -> Generator[str]:
        """A prefix of the run's own. Raises RayAway."""
        use_ray(self.address, self.access)
        prefix = keys.scratch(ledger.run_id, Stage.GROUPING, 0, f"{fence or 'lone'}")
        try:
            yield f"{ledger.store.url.rstrip('/')}/{prefix}"
        finally:
            for found in ledger.store.list(f"{prefix}/"):
                ledger.store.delete(found.key)
