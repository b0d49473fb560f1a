"""Experts that are tuned in one batch are those that are tuned one by one. The reference is PEFT, one at a time."""

import pytest
import torch

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.base import Base
from suti.ml.experts.lora import adapter_files, lora_config, lora_files
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.together import Lesson, TunedAdapter, tune_together
from suti.ml.experts.tuning import Expert, ExpertDiverged, tune_expert
from tests.unit.ml.experts.tiny_base import one_cluster, tiny_base

RECIPE = ExpertRecipe(
    method="lora", optimizer="adamw", learning_rate=1e-3, steps=6, lora_rank=3, batch_pictures=2, text_dropout=0.3
)
EVERYWHERE = ("attention", "feedforward", "convs", "time")


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def lessons(*steps: int | None) -> list[Lesson]:
    """One for each number of steps, with 3, 4, 5 ... pictures."""
    return [Lesson(*one_cluster(3 + index), seed=index + 1, steps=count) for index, count in enumerate(steps)]


def recipe_with(**changes: object) -> ExpertRecipe:
    return ExpertRecipe.model_validate(RECIPE.model_dump() | changes)


def alone(base: Base, lesson: Lesson, recipe: ExpertRecipe = RECIPE, dtype: str = "float32") -> Expert:
    recipe = recipe.model_copy(update={"steps": lesson.steps or recipe.steps})
    return tune_expert(base, lesson.pictures_PCHW, lesson.texts, recipe=recipe, seed=lesson.seed, dtype=dtype)


def require_alike(tuned: TunedAdapter | ExpertDiverged, single: Expert) -> None:
    assert isinstance(tuned, TunedAdapter)
    assert tuned.losses == pytest.approx(single.losses, rel=1e-4)
    expected = {name: value for name, value in single.unet.state_dict().items() if ".lora_" in name}
    assert [name.replace(".default.", ".") for name in expected] == list(tuned.factors)
    moved = 0.0
    for name, value in expected.items():
        torch.testing.assert_close(tuned.factors[name.replace(".default.", ".")], value, rtol=1e-3, atol=1e-4)
        moved = max(moved, float(value.abs().max()) if ".lora_B." in name else 0.0)
    assert moved > 4e-3  # not the zeros that both began with


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("targets", [("attention",), EVERYWHERE])
def test_three_experts_of_unequal_clusters_are_those_tuned_one_by_one(
    optimizer: str, targets: tuple[str, ...], base: Base
) -> None:
    recipe = recipe_with(optimizer=optimizer, lora_targets=targets, flip=True)

    together = tune_together(base, lessons(None, None, None), recipe=recipe)

    for tuned, lesson in zip(together, lessons(None, None, None), strict=True):
        require_alike(tuned, alone(base, lesson, recipe))


def test_experts_may_have_different_numbers_of_steps(base: Base) -> None:
    together = tune_together(base, lessons(5, 9, None), recipe=RECIPE)

    for steps, tuned, lesson in zip((5, 9, 6), together, lessons(5, 9, None), strict=True):
        require_alike(tuned, alone(base, lesson))
        assert isinstance(tuned, TunedAdapter)
        assert len(tuned.losses) == steps


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_one_that_diverges_ends_as_it_would_alone_and_the_others_do_not_notice(optimizer: str, base: Base) -> None:
    recipe = recipe_with(optimizer=optimizer)
    first, sick, last = lessons(None, None, None)
    sick.pictures_PCHW[0, 0, 0, 0] = torch.nan  # one of its four pictures: some steps go well before it is drawn

    together = tune_together(base, [first, sick, last], recipe=recipe)

    with pytest.raises(ExpertDiverged) as single:
        alone(base, sick, recipe)
    assert isinstance(together[1], ExpertDiverged)
    assert str(together[1]) == str(single.value)
    require_alike(together[0], alone(base, first, recipe))
    require_alike(together[2], alone(base, last, recipe))


def test_all_may_diverge(base: Base) -> None:
    sick = lessons(None, None)
    for lesson in sick:
        lesson.pictures_PCHW[:] = torch.nan

    together = tune_together(base, sick, recipe=RECIPE)

    assert [type(outcome) for outcome in together] == [ExpertDiverged] * 2


def test_the_same_group_gives_the_same_bits_and_leaves_the_base_alone() -> None:
    base, untouched = tiny_base(), tiny_base()

    first, second = (tune_together(base, lessons(None, 4), recipe=RECIPE) for _ in range(2))

    for one, two in zip(first, second, strict=True):
        assert isinstance(one, TunedAdapter)
        assert isinstance(two, TunedAdapter)
        assert one.losses == two.losses
        assert all(map(torch.equal, one.factors.values(), two.factors.values()))
    assert list(base.unet.state_dict()) == list(untouched.unet.state_dict())
    assert all(map(torch.equal, base.unet.state_dict().values(), untouched.unet.state_dict().values()))


def test_bfloat16_goes_the_same_way_as_one_by_one(base: Base) -> None:
    together = tune_together(base, lessons(None, None), recipe=RECIPE, dtype="bfloat16")

    for tuned, lesson in zip(together, lessons(None, None), strict=True):
        assert isinstance(tuned, TunedAdapter)
        assert tuned.losses == pytest.approx(alone(base, lesson, dtype="bfloat16").losses, rel=0.05)


@pytest.mark.parametrize("targets", [("attention",), EVERYWHERE])
def test_what_is_saved_has_the_form_that_one_by_one_has(targets: tuple[str, ...], base: Base) -> None:
    recipe = recipe_with(lora_targets=targets, steps=1)
    (lesson,) = lessons(None)

    (tuned,) = tune_together(base, [lesson], recipe=recipe)
    assert isinstance(tuned, TunedAdapter)
    files = adapter_files(tuned.factors, lora_config(base.unet, rank=3, targets=recipe.lora_targets))

    single = lora_files(alone(base, lesson, recipe).unet)
    assert files["adapter_config.json"] == single["adapter_config.json"]
    header = slice(8, 8 + int.from_bytes(single["adapter_model.safetensors"][:8], "little"))
    assert files["adapter_model.safetensors"][header] == single["adapter_model.safetensors"][header]


def test_every_step_is_told_with_how_many_are_still_tuned(base: Base) -> None:
    told: list[tuple[int, int, int]] = []

    tune_together(
        base, lessons(1, 3), recipe=RECIPE, callback=lambda step, steps, experts: told.append((step, steps, experts))
    )

    assert told == [(1, 3, 2), (2, 3, 1), (3, 3, 1)]


def test_no_lessons_no_experts(base: Base) -> None:
    assert tune_together(base, [], recipe=RECIPE) == []


def test_each_picture_needs_its_text(base: Base) -> None:
    good, bad = lessons(None, None)
    with pytest.raises(InvalidArgument, match="texts"):
        tune_together(base, [good, Lesson(bad.pictures_PCHW, ["one"], seed=1)], recipe=RECIPE)
