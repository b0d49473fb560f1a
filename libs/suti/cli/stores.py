"""Which store a command reads by itself: a bucket that services use, or the data folder of this machine."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from suti.core.bucket_access import BucketAccess
from suti.core.errors import NotFound
from suti.local.folder import DataFolder

if TYPE_CHECKING:
    from suti.infra.store import Store

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="SUTI_STORE_URL",
        help="s3://bucket/prefix, or file:///folder; unset: the data folder's. Keys come from SUTI_STORE_ACCESS_KEY "
        "and SUTI_STORE_SECRET_KEY, or from where the AWS SDKs look.",
    ),
]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", envvar="SUTI_STORE_ENDPOINT", help="Of an S3 that is not AWS: https://host:port.")
]
RegionOption = Annotated[str, typer.Option("--region", envvar="SUTI_STORE_REGION", help="Of the bucket.")]
AllowHttpOption = Annotated[
    bool | None,
    typer.Option("--allow-http", envvar="SUTI_STORE_ALLOW_HTTP", help="S3 without TLS: a port-forward, say."),
]


def access_from(environment: Mapping[str, str], *, endpoint: str, region: str, allow_http: bool | None) -> BucketAccess:
    """How the bucket is entered: address by options, keys by the variables that services have behind their prefix."""
    return BucketAccess(
        endpoint=endpoint or None,
        region=region or None,
        access_key=environment.get("SUTI_STORE_ACCESS_KEY") or None,
        secret_key=environment.get("SUTI_STORE_SECRET_KEY") or None,
        allow_http=allow_http,
    )


def open_store(url: str, data: Path, *, endpoint: str, region: str, allow_http: bool | None) -> "Store":
    """The store at `url`, or else the data folder's; no folder is made for it.

    Raises:
        NotFound: there is no such folder.
        BadStoreUrl: the address is none.
    """
    from suti.infra.store import Store  # noqa: PLC0415 - not needed for --help

    folder = DataFolder(data.absolute())
    place = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else folder.store
    if not url.startswith("s3://") and not place.is_dir():
        remedy = "name the data folder of a `suti up` with --data, or a bucket with --store s3://bucket"
        raise NotFound("store", str(place), remedy=remedy)
    access = access_from(os.environ, endpoint=endpoint, region=region, allow_http=allow_http)
    return Store.open(url or folder.store_url, **asdict(access))
