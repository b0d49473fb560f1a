"""How one expert is tuned and what it draws. The defaults are the paper's (section 5, "Expert Models")."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from suti.ml.diffusion.recipe import SamplingRecipe

# Which layers of a UNet get adapters: projections of the attentions; what stands between and around them in a
# transformer; the convolutions of the residual blocks and between resolutions; how noise levels enter.
LoraPart = Literal["attention", "feedforward", "convs", "time"]


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
    lora_targets: tuple[LoraPart, ...] = Field(
        default=("attention",), min_length=1, description="The layers that LoRA adapts; small UNets need convs as well."
    )
    together: PositiveInt = Field(
        default=1,
        description="Experts of a shard that are tuned and draw in one batch (method lora); 1 is one by one. "
        "Memory for activations and rows of a drawn batch grow as many times.",
    )
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
        if self.method == "dreambooth" and self.together > 1:
            raise ValueError("together: dreambooth tunes every weight, one expert at a time, use 1 or method lora")
        return self
