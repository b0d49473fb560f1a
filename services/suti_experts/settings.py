"""What the experts service is told, and what it tells its jobs."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from suti.stages.shard_jobs import ShardLauncherSettings


class ExpertsSettings(ShardLauncherSettings):
    """Read once in `__main__` (and in the job), from the environment (`SUTI_EXPERTS_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_EXPERTS_", frozen=True, env_ignore_empty=True)

    preset: Literal["paper", "toy"] = Field(default="toy", description="Whose recipe calls outside of runs begin with.")
    base: str = Field(default="base", description="The base of calls outside of runs that name none.")
