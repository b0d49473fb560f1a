"""What the clustering service is told."""

from typing import Literal

from pydantic import Field, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class ClusteringSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_CLUSTERING_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_CLUSTERING_", frozen=True, env_ignore_empty=True)

    stages: Literal["grouping", "selection", "both"] | None = Field(
        default=None,
        description="Whose tickets are taken. Unset: both where torch is installed, else grouping alone.",
    )
    device: str = Field(default="cpu", description="Where models lie: cpu, cuda, cuda:1 ...")
    keep_models: PositiveInt = Field(default=2, description="Runs' models held in memory; the oldest leave first.")
