"""How pictures get their texts, and which prompts are proposed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class CaptioningRecipe(BaseModel):
    """Captioner, rewriter and target prompts (SuTI, section 4 and appendix A.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    captioner: Literal["tags", "transformers", "openai"] = Field(
        default="transformers", description="Who looks at the pictures."
    )
    captioner_model: str = Field(
        default="", description="Folder, hub name, or the endpoint's model name; unused by tags."
    )
    rewriter: Literal["grammar", "openai"] = Field(
        default="openai", description="Who merges texts and proposes prompts."
    )
    rewriter_model: str = ""
    endpoint: str = Field(
        default="", description="For the openai back ends: name of an endpoint in the captioning service's settings."
    )
    tags: str = Field(
        default="", description="Folder or file with the word lists of the tags captioner; empty: the built-in list."
    )
    prompts_per_cluster: PositiveInt = Field(default=1, description="Target prompts per cluster (the paper: one).")
    max_tokens: PositiveInt = Field(default=77, description="Texts are cut to this many words.")
    timeout_s: PositiveFloat = 30.0
    attempts: PositiveInt = 4
    batch_pictures: PositiveInt = 32
