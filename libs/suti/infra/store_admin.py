"""What only an administrator does to a store: make the bucket, and say what the server itself may throw away."""

from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from suti.infra.store import BadStoreUrl, StoreRefused, StoreUnavailable
from suti.infra.store_expiry import expire_requests

_CALL_TIMEOUT_S = 10.0
# All calls here are safe to repeat. A server that just started answers 503 for a while.
_RETRY = urllib3.Retry(
    total=6, connect=3, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), allowed_methods=None
)
_REFUSALS = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


def prepare_bucket(
    url: str, *, endpoint: str, access_key: str, secret_key: str, region: str = "us-east-1", set_expiry: bool = True
) -> bool:
    """The bucket of `s3://bucket/prefix` exists and has our expiry rule; True if it was made just now.

    Safe to repeat. With `set_expiry`, the server drops answers to requests after two days; other rules of the bucket
    stay as they are. We let the server expire nothing else, which knows no commit and no end: what dead workers left
    behind goes by `suti.infra.sweep`, what is left of ended operations by `suti.infra.operations`.

    Raises:
        BadStoreUrl: no s3:// address or no endpoint.
        StoreRefused: the keys are wrong or may not do this.
        StoreUnavailable: no answer.
    """
    parts, at = urlsplit(url), urlsplit(endpoint)
    if parts.scheme != "s3" or not parts.netloc:
        raise BadStoreUrl(f"cannot prepare {url!r}: only s3://bucket/prefix has a bucket")
    if at.scheme not in {"http", "https"} or not at.netloc:
        raise BadStoreUrl(f"cannot reach {endpoint!r}: give the S3 endpoint as http://host:port or https://host")
    client = Minio(
        at.netloc,
        access_key=access_key,
        secret_key=secret_key,
        region=region,
        secure=at.scheme == "https",
        http_client=urllib3.PoolManager(timeout=_CALL_TIMEOUT_S, retries=_RETRY, cert_reqs="CERT_REQUIRED"),
    )
    try:
        made = _make_bucket(client, parts.netloc)
        if set_expiry:
            expire_requests(client, parts.netloc, parts.path.strip("/"))
    except S3Error as error:
        if error.code in _REFUSALS:
            raise StoreRefused(f"{endpoint} refused to prepare {url!r} ({error.code}): check the admin keys") from error
        raise StoreUnavailable(f"{endpoint} failed to prepare {url!r} ({error.code}): safe to repeat") from error
    except ValueError as error:  # how the client says that a name can be no bucket's
        raise BadStoreUrl(f"cannot prepare {url!r} ({error}): name the bucket as S3 allows") from error
    except (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, OSError) as error:
        raise StoreUnavailable(f"{endpoint} did not answer ({error}): check that the server runs") from error
    return made


def _make_bucket(client: Minio, bucket: str) -> bool:
    if client.bucket_exists(bucket):
        return False
    try:
        client.make_bucket(bucket)
    except S3Error as error:
        if error.code == "BucketAlreadyOwnedByYou":  # somebody was faster
            return False
        raise
    return True
