"""Recipes for calls outside of any run: a preset's, with what the caller changes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from pydantic import BaseModel, JsonValue, ValidationError

from suti.ml.captions.recipe import CaptioningRecipe
from suti.stages.presets import PRESETS, PresetName, merged
from suti.stages.run_orders import BadOverride
from suti.stages.run_spec import ModelRef, Models, RunSpec


def loose_recipe[Recipe: BaseModel](
    recipe: type[Recipe], section: str, *, preset: PresetName, overrides: Mapping[str, JsonValue]
) -> Recipe:
    """The preset's recipe of a section, changed as asked. Raises BadOverride, which names the field."""
    before = cast("Mapping[str, JsonValue]", PRESETS[preset].get(section) or {})
    try:
        return recipe.model_validate(merged(before, overrides))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(["overrides", *(str(part) for part in first["loc"])])
        raise BadOverride(where, f"{first['msg']}: correct it, or leave it out") from error


def loose_spec(models: Models, captioning: CaptioningRecipe) -> RunSpec:
    """A description for `ModelCache` where there is no run: it names models and nothing else that counts."""
    return RunSpec.model_validate(
        {
            "run_id": "none",
            "created_at": datetime(2000, 1, 1, tzinfo=UTC),
            "created_by": "none",
            "input": {"url": "none", "format": "warc"},
            "models": models,
            "captioning": captioning,
        }
    )


def models_of(clip: ModelRef) -> Models:
    """Models for work that needs a CLIP alone."""
    return Models(base=clip, clip=clip)
