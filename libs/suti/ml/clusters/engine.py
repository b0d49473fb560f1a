"""Daft, imported in one place: it reads its switches when it is imported, and it must not call home or draw bars.

Programs run in this process, or after `use_ray` on a Ray cluster.
"""

import os
from importlib.util import find_spec
from typing import ClassVar

from suti.core.bucket_access import BucketAccess
from suti.core.errors import BadConfiguration, RetryableError

os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import daft
from daft.io import IOConfig, S3Config

__all__ = ["RayAway", "RayMissing", "daft", "require_ray", "use_ray"]


class RayMissing(BadConfiguration):
    """A Ray cluster is named, and Ray is not installed."""

    reason: ClassVar[str] = "RAY_MISSING"


class RayAway(RetryableError):
    """The Ray cluster does not answer."""

    reason: ClassVar[str] = "RAY_AWAY"


def require_ray(address: str) -> None:
    """Raises RayMissing where nothing could ask the cluster at this address."""
    if find_spec("ray") is None:
        raise RayMissing(f"grouping is to run on Ray at {address}: install suti[clustering-ray] (images: RAY=1)")


def use_ray(address: str, access: BucketAccess) -> None:
    """From now on all programs of this process run on that Ray cluster, whose nodes have `suti[clustering]`.

    `address` is `host:port` of its head, or `ray://host:port` of its client server. `access` is how the nodes enter the
    bucket in which tables lie between two steps.

    Raises:
        RayMissing: install `suti[clustering-ray]`.
        RayAway: nobody answers there.
    """
    require_ray(address)
    try:
        daft.set_runner_ray(address=address, noop_if_initialized=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RayAway(f"no Ray cluster at {address}: {error}") from error
    config = S3Config(
        endpoint_url=access.endpoint,
        region_name=access.region,
        key_id=access.access_key,
        access_key=access.secret_key,
        use_ssl=not access.allow_http,
        force_virtual_addressing=False,
    )
    daft.set_planning_config(default_io_config=IOConfig(s3=config))
