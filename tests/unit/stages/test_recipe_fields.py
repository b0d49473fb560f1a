from typing import get_args

import pytest

from suti.stages.presets import PresetName
from suti.stages.recipe_fields import nearest, recipe_fields


@pytest.mark.parametrize("preset", get_args(PresetName))
def test_every_field_of_every_recipe_is_listed_once_with_the_presets_value(preset: PresetName) -> None:
    fields = {field.name: field.value for field in recipe_fields(preset)}

    assert len(fields) == len(list(recipe_fields(preset)))
    assert fields["experts.steps"] == {"paper": "500", "toy": "60"}[preset]
    assert "experts.sampling.steps" in fields
    assert not [name for name in fields if name.startswith("environment")]


@pytest.mark.parametrize(("written", "meant"), [("experts.stepz", "experts.steps"), ("qqq.zzz", "")])
def test_a_field_that_was_misspelled_is_guessed(written: str, meant: str) -> None:
    assert nearest(written) == meant
