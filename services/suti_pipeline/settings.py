"""What the pipeline service is told."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class PipelineSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_PIPELINE_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_PIPELINE_", frozen=True, env_ignore_empty=True)

    preset: Literal["paper", "toy"] = Field(default="toy", description="For orders that name none.")
    crawl_roots: str = Field(
        default="s3://",
        description="Where runs may read crawls: folders and URLs, separated by commas; `/` is all of this machine.",
    )
    reconcile_s: PositiveFloat = Field(default=1.0, description="Longest time between two looks at the ledger.")
    reissue_s: PositiveFloat = Field(
        default=5.0, description="A ticket that is still wanted is issued again after this time."
    )
    sweep_s: PositiveFloat = Field(
        default=86_400.0, description="Time between two sweeps of what dead workers and old requests left."
    )
    sweep_parts_after_s: PositiveFloat = Field(
        default=7 * 86_400.0,
        description="Parts that no commit names are left alone for so long; longer than any shard works.",
    )
    sweep_drawn_after_s: PositiveFloat = Field(
        default=365 * 86_400.0,
        description="What was drawn for requests, and the records of where it comes from, are kept for so long.",
    )
    accelerators: PositiveInt = Field(default=1, description="Pods that work on experts at once; for plans.")
