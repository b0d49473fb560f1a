"""An expert learns its cluster, leaves the base alone, and is the same for the same seed."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.base import Base, predict
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.experts.tuning import Expert, ExpertDiverged, tune_expert
from tests.unit.ml.experts.tiny_base import one_cluster, tiny_base

OVERFIT = ExpertRecipe(optimizer="adamw", learning_rate=3e-3, steps=80, batch_pictures=8)
SHORT = ExpertRecipe(learning_rate=1e-3, steps=3, batch_pictures=2, flip=True)


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base()


def tuned(base: Base, recipe: ExpertRecipe, *, seed: int = 1, dtype: str = "float32") -> Expert:
    pictures_PCHW, texts = one_cluster()
    return tune_expert(base, pictures_PCHW, texts, recipe=recipe, seed=seed, dtype=dtype)


def test_the_loss_falls_on_one_cluster(base: Base) -> None:
    losses = torch.tensor(tuned(base, OVERFIT).losses)

    assert losses[-20:].mean() < 0.6 * losses[:5].mean()


@pytest.mark.parametrize("method", ["dreambooth", "lora"])
@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_the_same_seed_gives_the_same_expert_bit_for_bit(method: str, optimizer: str, base: Base) -> None:
    recipe = ExpertRecipe.model_validate(SHORT.model_dump() | {"method": method, "optimizer": optimizer})

    first, second, other = (tuned(base, recipe, seed=seed) for seed in (1, 1, 2))

    assert first.losses == second.losses != other.losses
    assert all(map(torch.equal, first.unet.state_dict().values(), second.unet.state_dict().values()))


@pytest.mark.parametrize("method", ["dreambooth", "lora"])
def test_the_base_stays_as_it_is(method: str) -> None:
    base, untouched = tiny_base(), tiny_base()

    expert = tuned(base, ExpertRecipe.model_validate(SHORT.model_dump() | {"method": method}))

    assert list(base.unet.state_dict()) == list(untouched.unet.state_dict())
    assert all(map(torch.equal, base.unet.state_dict().values(), untouched.unet.state_dict().values()))
    assert not any(weight.requires_grad for weight in base.unet.parameters())
    noise_NCHW, text = torch.randn(1, *base.shape_CHW), base.text.encode(["a red mug"])
    assert not torch.equal(predict(expert.unet, noise_NCHW, 500, text), base.predict(noise_NCHW, 500, text))


def test_the_text_encoder_learns_only_where_the_recipe_says_so(base: Base) -> None:
    def changed(expert: Expert) -> bool:
        before, after = (text.encode(["a red mug"]).hidden_NLD for text in (base.text, expert.text))
        return not torch.equal(before, after)

    assert not changed(tuned(base, SHORT))
    assert changed(tuned(base, SHORT.model_copy(update={"train_text_encoder": True})))


def test_bfloat16_goes_the_same_way_as_float32(base: Base) -> None:
    exact, rough = tuned(base, SHORT).losses, tuned(base, SHORT, dtype="bfloat16").losses

    assert exact != rough
    assert rough == pytest.approx(exact, rel=0.05)


def test_a_loss_that_is_not_a_number_ends_the_expert(base: Base) -> None:
    pictures_PCHW, texts = one_cluster()
    pictures_PCHW[:, 0, 0, 0] = torch.nan

    with pytest.raises(ExpertDiverged, match="step 1"):
        tune_expert(base, pictures_PCHW, texts, recipe=SHORT, seed=1)


@pytest.mark.parametrize("texts", [[], ["one"], ["one"] * 4])
def test_each_picture_needs_its_text(texts: list[str], base: Base) -> None:
    with pytest.raises(InvalidArgument, match="texts"):
        tune_expert(base, one_cluster()[0], texts, recipe=SHORT, seed=1)


def test_no_pictures_are_refused(base: Base) -> None:
    with pytest.raises(InvalidArgument):
        tune_expert(base, torch.empty(0, 3, 16, 16), [], recipe=SHORT, seed=1)


def test_every_step_is_told(base: Base) -> None:
    told: list[tuple[int, int]] = []
    pictures_PCHW: Tensor
    pictures_PCHW, texts = one_cluster()

    tune_expert(
        base, pictures_PCHW, texts, recipe=SHORT, seed=1, callback=lambda step, steps, _loss: told.append((step, steps))
    )

    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "lora", "train_text_encoder": True},
        {"method": "dreambooth", "keep_experts": "lora"},
        {"method": "dreambooth", "together": 2},
        {"method": "lora", "together": 0},
        {"method": "lora", "lora_targets": []},
        {"method": "lora", "lora_targets": ["everything"]},
    ],
)
def test_recipes_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExpertRecipe.model_validate(wrong)


def test_the_defaults_are_the_papers() -> None:
    recipe = ExpertRecipe()  # SuTI, section 5

    assert (recipe.steps, recipe.learning_rate, recipe.optimizer) == (500, 1e-5, "adafactor")
    assert (recipe.sampling.guidance, recipe.sampling.sampler, recipe.train_text_encoder) == (30.0, "ddpm", False)
