"""Which candidates are kept."""

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class FilterRecipe(BaseModel):
    """Keep a candidate when its CLIP gain exceeds lambda (SuTI, equation 6) and it is no copy of a demonstration.

    A bound from below on its likeness is ours, and off: the paper relies on experts that draw their subject.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_gain: float = Field(
        default=0.02, ge=-2, le=2, description="The paper's lambda, for ViT-L/14: keep if gain > min_gain."
    )
    max_copy_similarity: float = Field(
        default=0.98, ge=-1, le=1, description="Closer to a demonstration than this: a mere copy."
    )
    min_copy_difference: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Nearer in pixels (root mean square of [0, 1] at 16 px) than this: a mere copy.",
    )
    min_subject_similarity: float = Field(
        default=-1, ge=-1, le=1, description="Further than this from every demonstration: not the subject. -1: off."
    )
    batch_pictures: PositiveInt = 64
