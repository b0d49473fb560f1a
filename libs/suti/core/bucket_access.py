"""How an S3 bucket is entered: keys and address, as they are handed from settings to whoever reads or writes there."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class BucketAccess:
    """How to enter a bucket. What is not given is taken from where the AWS SDKs look: environment, web identity ..."""

    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    allow_http: bool | None = None
