"""How pages become clusters: grouping by page (no model) and selection by CLIP similarity."""

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class GroupingRecipe(BaseModel):
    """Pages to raw clusters (SuTI, section 4, appendix A.1): by page URL, pages with fewer than 3 pictures dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_pictures: PositiveInt = Field(default=3, description="Pages with fewer usable, distinct pictures are dropped.")
    near_duplicate_bits: int = Field(
        default=4, ge=0, le=64, description="Perceptual hashes this close (bits of 64) are one picture."
    )
    shard_clusters: PositiveInt = Field(
        default=200, description="Raw clusters in one shard; every later stage keeps the shard."
    )
    max_picture_bytes: PositiveInt = Field(default=20_000_000, description="Larger pictures are dropped unread.")
    max_picture_px: PositiveInt = Field(
        default=50_000_000, description="Pictures that declare more pixels are dropped undecoded."
    )
    min_side_px: PositiveInt = Field(
        default=16, description="Pictures with a shorter side are dropped (icons, spacers)."
    )
    max_alt_chars: PositiveInt = Field(default=1_000, description="Longer alt texts are cut here.")
    store_side_px: PositiveInt = Field(default=512, description="Longer sides are shrunk to this before storing.")


class SelectionRecipe(BaseModel):
    """Raw clusters to clusters that show one subject (SuTI, appendix A.1). The thresholds belong to ViT-L/14."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity_low: float = Field(
        default=0.82, ge=-1, le=1, description="Mean pairwise CLIP similarity below: not one subject."
    )
    similarity_high: float = Field(default=0.98, ge=-1, le=1, description="Above: copies of one picture.")
    drop_outliers: bool = Field(
        default=False, description="Ours: drop single pictures far from the rest before judging a cluster."
    )
    outlier_similarity: float = Field(
        default=0.70, ge=-1, le=1, description="A picture whose mean similarity to the others is lower."
    )
    min_pictures: PositiveInt = 3
    max_pictures: PositiveInt = Field(default=10, description="Of more, the ones nearest the centroid stay.")
    batch_pictures: PositiveInt = 64

    @model_validator(mode="after")
    def _ordered(self) -> "SelectionRecipe":
        if self.similarity_low > self.similarity_high:
            raise ValueError("similarity_low is above similarity_high: swap them")
        return self
