"""How a picture is drawn: sampler, steps, guidance."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

SamplerName = Literal["ddpm", "ddim", "dpmsolver++", "unipc"]


class SamplingRecipe(BaseModel):
    """One way to draw. The paper draws with DDPM; experts with guidance 30, the apprentice with 15 (section 5)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: SamplerName = "ddpm"
    steps: PositiveInt = Field(default=256, le=1000)
    guidance: float = Field(
        default=15.0, ge=0, description="Weight w of x_uncond + w (x_cond - x_uncond); 1 is no guidance."
    )
    subject_guidance: float | None = Field(
        default=None,
        ge=0,
        description="A separate weight for demonstrations; unset: one weight, text and subject dropped together.",
    )
    dynamic_threshold: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Percentile of Imagen's dynamic thresholding for pixel bases; unset: static clip to [-1, 1].",
    )
    batch_pictures: PositiveInt = 32
