"""What a run's order may change: every field of the recipes, with a preset's value."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import BaseModel

from suti.stages.presets import PRESETS, SECTIONS, PresetName
from suti.stages.run_spec import RunSpec


@dataclass(frozen=True)
class RecipeField:
    """One of them."""

    name: str  # experts.sampling.steps
    value: str  # as JSON
    description: str


def recipe_fields(preset: PresetName) -> Iterator[RecipeField]:
    """All fields, by section and in the order of their recipes."""
    for section in sorted(SECTIONS - {"environment"}):
        recipe = RunSpec.model_fields[section].annotation
        assert isinstance(recipe, type)  # noqa: S101 - sections are recipes
        assert issubclass(recipe, BaseModel)  # noqa: S101
        yield from _below(section, recipe.model_validate(PRESETS[preset].get(section) or {}))


def nearest(name: str) -> str:
    """The field that somebody who wrote this may have meant; empty if none is near."""
    found = get_close_matches(name, [field.name for field in recipe_fields("paper")], n=1)
    return found[0] if found else ""


def _below(place: str, recipe: BaseModel) -> Iterator[RecipeField]:
    for name, info in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            yield from _below(f"{place}.{name}", value)
        else:
            told = json.loads(recipe.model_dump_json(include={name}))[name]
            yield RecipeField(f"{place}.{name}", json.dumps(told), info.description or "")
