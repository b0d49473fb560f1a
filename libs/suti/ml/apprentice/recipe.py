"""How the apprentice is trained. The defaults are the paper's (section 5, "Apprentice Model")."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt


class ApprenticeRecipe(BaseModel):
    """150K steps of Adafactor at 1e-4 with 3 demonstrations, text and demonstrations dropped independently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Literal["base", "warmstart"] = Field(default="base", description="The paper starts from its base model.")
    optimizer: Literal["adafactor", "adamw"] = "adafactor"
    steps: PositiveInt = 150_000
    learning_rate: PositiveFloat = 1e-4
    warmup_steps: NonNegativeInt = 0
    batch_subjects: PositiveInt = Field(default=16, description="Clusters per step.")
    targets_per_subject: PositiveInt = Field(
        default=1, description="Targets that share one encode of the demonstrations."
    )
    demonstrations: PositiveInt = 3
    text_dropout: float = Field(default=0.1, ge=0, le=1)
    demonstration_dropout: float = Field(default=0.1, ge=0, le=1)
    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    checkpoint_steps: PositiveInt = 1000
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Precision of the forward and backward pass."
    )
