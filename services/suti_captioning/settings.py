"""What the captioning service is told."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings
from suti.ml.captions.endpoints import NamedEndpoint


class CaptioningSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_CAPTIONING_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_CAPTIONING_", frozen=True, env_ignore_empty=True)

    device: str = Field(default="cpu", description="Where models lie: cpu, cuda, cuda:1 ...")
    keep_models: PositiveInt = Field(default=2, description="Runs' models held in memory; the oldest leave first.")
    max_waiting: PositiveInt = Field(default=16, description="Calls in the queue; more are told to come again.")
    preset: Literal["paper", "toy"] = Field(default="toy", description="Whose recipe calls outside of runs begin with.")
    clip: str = Field(default="clip", description="The CLIP of calls outside of runs that name none.")
    screen: str = Field(
        default="", description="package.module:object that refuses pictures and prompts before they are learnt; off."
    )
    endpoints: Mapping[str, NamedEndpoint] = Field(
        default_factory=dict[str, NamedEndpoint],
        description='What recipes may name as endpoint, as JSON: {"vllm": {"url": "http://vllm:8000/v1", "key": ""}}.',
    )
