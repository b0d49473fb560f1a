"""What the generation service is told."""

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt
from pydantic_settings import SettingsConfigDict

from suti.infra.settings import ServiceSettings


class GenerationSettings(ServiceSettings):
    """Read once in `__main__`, from the environment (`SUTI_GENERATION_...`)."""

    model_config = SettingsConfigDict(env_prefix="SUTI_GENERATION_", frozen=True, env_ignore_empty=True)

    model_cache: Path | None = Field(
        default=None,
        description="Where apprentices from the store are unpacked. Unset: a folder of the process' own, gone with it.",
    )
    keep_models: PositiveInt = Field(
        default=3, description="Models held in memory; those used least lately leave first."
    )
    context_bytes: PositiveInt = Field(default=512 * 2**20, description="Memory for what is computed of subjects.")
    max_waiting: PositiveInt = Field(default=64, description="Requests in the queue; more are told to come again.")
    batch_pictures: PositiveInt = Field(
        default=16,
        description="Pictures of several requests drawn side by side. 1: each request by itself, and then a seed gives "
        "the same bits whatever else is asked for.",
    )
    device: str = Field(default="cpu", description="Where models lie: cpu, cuda, cuda:1 ...")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    screen: str = Field(
        default="", description="package.module:function that looks at pictures before they go out; off."
    )
    promoted_look_s: PositiveFloat = Field(
        default=5.0, description="Between two looks which model is promoted; a new one is loaded ahead of requests."
    )
    batch_deadline_s: float = Field(default=600.0, gt=0, description="For each request of a batch.")
