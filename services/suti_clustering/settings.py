"""What the clustering service is told."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, SecretStr
from pydantic_settings import SettingsConfigDict

from suti.core.bucket_access import BucketAccess
from suti.infra.settings import ServiceSettings, revealed
from suti.stages.crawl_buckets import CrawlBuckets
from suti.stages.grouping_places import GroupingPlace, RayCluster, ThisProcess


class ClusteringSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_CLUSTERING_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_CLUSTERING_", frozen=True, env_ignore_empty=True)

    stages: Literal["grouping", "selection", "both"] | None = Field(
        default=None,
        description="Whose tickets are taken. Unset: both where torch is installed, else grouping alone.",
    )
    device: str = Field(default="cpu", description="Where models lie: cpu, cuda, cuda:1 ...")
    keep_models: PositiveInt = Field(default=2, description="Runs' models held in memory; the oldest leave first.")
    ray_address: str | None = Field(
        default=None,
        description="Ray cluster that groups: host:port of its head, or ray://host:port. Unset: this process does.",
    )
    crawl_endpoint: str | None = Field(
        default=None,
        description="S3 endpoint of crawls in other buckets than the store's; unset: as for the AWS SDKs.",
    )
    crawl_region: str | None = None
    crawl_access_key: SecretStr | None = Field(
        default=None, description="Keys for those; unset: what the machine brings, as for the AWS SDKs."
    )
    crawl_secret_key: SecretStr | None = None
    crawl_allow_http: bool | None = Field(default=None, description="Those without TLS; unset: AWS_ALLOW_HTTP.")

    def grouping_place(self) -> GroupingPlace:
        """Where crawls are grouped."""
        if self.ray_address is None:
            return ThisProcess()
        return RayCluster(self.ray_address, self.store_access())

    def crawl_buckets(self) -> CrawlBuckets:
        """With whose keys crawls in buckets are read: in the store's own bucket with the store's."""
        store = urlsplit(self.store_url)
        return CrawlBuckets(
            others=BucketAccess(
                endpoint=self.crawl_endpoint,
                region=self.crawl_region,
                access_key=revealed(self.crawl_access_key),
                secret_key=revealed(self.crawl_secret_key),
                allow_http=self.crawl_allow_http,
            ),
            own_bucket=store.netloc if store.scheme == "s3" else "",
            own=self.store_access(),
        )
