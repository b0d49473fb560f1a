"""Rows of a batch stand apart; a cascade in one go equals its stages one by one; what does not fit is refused."""

from pathlib import Path

import pytest
import torch

from suti.ml.diffusion.pixels import as_a_file_has_them
from suti.ml.super_resolution.cascade import CascadeStage, enlarge_in_stages
from suti.ml.super_resolution.drawing import condition, enlarge
from suti.ml.super_resolution.files import SuperResolutionModel, load_super_resolution
from suti.ml.super_resolution.recipe import EnlargingRecipe, SizeDoesNotFit
from tests.unit.ml.super_resolution.tiny_upscalers import (
    LOW_PX,
    deepfloyd_second_stage,
    saved,
    stable_diffusion_upscaler,
)

RECIPE = EnlargingRecipe(sampler="ddim", steps=3, guidance=2.0, noise_level=40)
LOW_NCHW = torch.rand(3, 3, LOW_PX, LOW_PX, generator=torch.Generator().manual_seed(3)) * 2 - 1
PROMPTS, SEEDS = ["a mug", "a cup", "a mug"], [5, 6, 7]


@pytest.fixture(scope="module", params=["latent", "pixel"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SuperResolutionModel:
    layout = {"latent": stable_diffusion_upscaler, "pixel": deepfloyd_second_stage}[request.param]
    return load_super_resolution(saved(layout(), tmp_path_factory.mktemp("model")))


def test_each_picture_depends_on_itself_its_text_and_its_seed_alone(model: SuperResolutionModel) -> None:
    together_NCHW = enlarge(model, LOW_NCHW, prompts=PROMPTS, seeds=SEEDS, recipe=RECIPE)

    for row in range(3):
        some = slice(row, row + 1)
        alone_NCHW = enlarge(model, LOW_NCHW[some], prompts=PROMPTS[some], seeds=SEEDS[some], recipe=RECIPE)
        torch.testing.assert_close(together_NCHW[some], alone_NCHW, rtol=0, atol=1e-3)
    assert together_NCHW.shape == (3, 3, 4 * LOW_PX, 4 * LOW_PX)
    assert together_NCHW.abs().max() <= 1


def test_groups_of_a_batch_change_nothing(model: SuperResolutionModel) -> None:
    steps: list[None] = []
    one_NCHW = enlarge(model, LOW_NCHW, prompts=PROMPTS, seeds=SEEDS, recipe=RECIPE)
    two_NCHW = enlarge(
        model,
        LOW_NCHW,
        prompts=PROMPTS,
        seeds=SEEDS,
        recipe=RECIPE.model_copy(update={"batch_pictures": 2}),
        on_step=lambda: steps.append(None),
    )

    torch.testing.assert_close(one_NCHW, two_NCHW, rtol=0, atol=1e-3)
    assert len(steps) == 2 * RECIPE.steps


def test_the_same_seed_gives_the_same_bits_and_another_does_not(model: SuperResolutionModel) -> None:
    def drawn(seed: int) -> torch.Tensor:
        return enlarge(model, LOW_NCHW[:1], prompts=["a mug"], seeds=[seed], recipe=RECIPE)

    assert torch.equal(drawn(5), drawn(5))
    assert not torch.equal(drawn(5), drawn(6))


@pytest.mark.parametrize("changes", [{"prompts": ["a boat"]}, {"avoid": ["a boat"]}, {"noise_level": 300}])
def test_the_text_what_is_avoided_and_the_noise_level_are_seen(
    model: SuperResolutionModel, changes: dict[str, object]
) -> None:
    # Tiny networks with random weights hardly hear their text: strong guidance makes it plain.
    recipe = RECIPE.model_copy(update={"noise_level": changes.get("noise_level", 40), "guidance": 50.0})
    texts = {name: value for name, value in changes.items() if name != "noise_level"}
    changed = {"prompts": ["a mug"], "seeds": [5]} | texts

    other_NCHW = enlarge(model, LOW_NCHW[:1], recipe=recipe, **changed)  # pyright: ignore[reportArgumentType] - mixed

    plain = RECIPE.model_copy(update={"guidance": 50.0})
    same_NCHW = enlarge(model, LOW_NCHW[:1], prompts=["a mug"], seeds=[5], recipe=plain)
    assert (other_NCHW - same_NCHW).abs().max() > 1e-4


def test_without_noise_the_small_picture_is_given_as_it_is(model: SuperResolutionModel) -> None:
    given_NCHW = condition(model, LOW_NCHW, SEEDS, noise_level=0)
    wanted_NCHW = LOW_NCHW if model.form.latent else torch.nn.functional.interpolate(
        LOW_NCHW, scale_factor=4, mode="bilinear", align_corners=True
    )  # fmt: skip

    assert (given_NCHW - wanted_NCHW).abs().mean() < 0.02  # the first level of noise is nearly none


def test_a_cascade_in_one_go_equals_its_stages_one_by_one(model: SuperResolutionModel) -> None:
    stage = CascadeStage(model, RECIPE)

    def cascade(pictures_NCHW: torch.Tensor, stages: int) -> torch.Tensor:
        return enlarge_in_stages([stage] * stages, pictures_NCHW, prompts=PROMPTS[:2], seeds=SEEDS[:2])

    both_NCHW = cascade(LOW_NCHW[:2], 2)
    first_NCHW = cascade(LOW_NCHW[:2], 1)

    assert both_NCHW.shape[-2:] == (16 * LOW_PX, 16 * LOW_PX)
    assert torch.equal(both_NCHW, cascade(as_a_file_has_them(first_NCHW), 1))
    assert torch.equal(cascade(LOW_NCHW[:2], 0), LOW_NCHW[:2])


def test_pictures_that_are_not_square_are_enlarged_too(model: SuperResolutionModel) -> None:
    wide_NCHW = torch.cat([LOW_NCHW, LOW_NCHW[..., :3]], dim=-1)[:1]

    drawn_NCHW = enlarge(model, wide_NCHW, prompts=["a mug"], seeds=[5], recipe=RECIPE)

    assert drawn_NCHW.shape == (1, 3, 4 * LOW_PX, 4 * (LOW_PX + 3))


def test_a_model_of_what_is_to_be_added_leaves_pictures_as_they_are_where_it_adds_nothing(tmp_path: Path) -> None:
    pipeline = deepfloyd_second_stage()
    torch.nn.init.zeros_(pipeline.unet.conv_out.weight)
    torch.nn.init.zeros_(pipeline.unet.conv_out.bias)
    pipeline.scheduler.register_to_config(prediction_type="sample")  # so it answers: nothing
    (saved(pipeline, tmp_path) / "suti.json").write_text('{"residual": true, "align_corners": false}')

    drawn_NCHW = enlarge(load_super_resolution(tmp_path), LOW_NCHW, prompts=PROMPTS, seeds=SEEDS, recipe=RECIPE)

    wanted_NCHW = torch.nn.functional.interpolate(LOW_NCHW, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(drawn_NCHW, wanted_NCHW, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [LOW_PX - 1, 4 * LOW_PX + 1])
def test_pictures_far_from_what_it_learnt_from_are_refused(model: SuperResolutionModel, side: int) -> None:
    with pytest.raises(SizeDoesNotFit, match="8 to 32 pixels"):
        enlarge(model, torch.zeros(1, 3, side, side), prompts=["a mug"], seeds=[5], recipe=RECIPE)
