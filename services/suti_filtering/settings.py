"""What the filtering service is told."""

from typing import Literal

from pydantic import Field, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class FilteringSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_FILTERING_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_FILTERING_", frozen=True, env_ignore_empty=True)

    device: str = Field(default="cpu", description="Where models lie: cpu, cuda, cuda:1 ...")
    keep_models: PositiveInt = Field(default=2, description="Runs' models held in memory; the oldest leave first.")
    max_waiting: PositiveInt = Field(default=16, description="Calls in the queue; more are told to come again.")
    preset: Literal["paper", "toy"] = Field(default="toy", description="Whose recipe calls outside of runs begin with.")
    clip: str = Field(default="clip", description="The CLIP of calls outside of runs that name none.")
