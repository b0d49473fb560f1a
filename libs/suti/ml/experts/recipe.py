"""How one expert is tuned and what it draws. The defaults are the paper's (section 5, "Expert Models")."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from suti.ml.diffusion.recipe import SamplingRecipe


class ExpertRecipe(BaseModel):
    """DreamBooth without class word and prior pictures: 500 steps of Adafactor at 1e-5 on one cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["dreambooth", "lora"] = "dreambooth"
    optimizer: Literal["adafactor", "adamw"] = "adafactor"
    steps: PositiveInt = 500
    learning_rate: PositiveFloat = 1e-5
    batch_pictures: PositiveInt = Field(
        default=4, description="Pictures per step, drawn with replacement from the cluster."
    )
    train_text_encoder: bool = False
    lora_rank: PositiveInt = 16
    text_dropout: float = Field(
        default=0.1, ge=0, le=1, description="Share of steps without text, so that guidance stays possible."
    )
    flip: bool = Field(default=False, description="Mirror half of the pictures.")
    samples_per_prompt: PositiveInt = 4
    sampling: SamplingRecipe = SamplingRecipe(guidance=30.0)
    keep_experts: Literal["none", "lora", "all"] = Field(
        default="none",
        description="Weights kept beside the candidates: none, adapters (method lora), or whatever was tuned.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.method == "lora" and self.train_text_encoder:
            raise ValueError("train_text_encoder: LoRA tunes the UNet alone, use method dreambooth or leave it off")
        if self.method == "dreambooth" and self.keep_experts == "lora":
            raise ValueError("keep_experts: dreambooth makes no adapters, use none or all, or method lora")
        return self
