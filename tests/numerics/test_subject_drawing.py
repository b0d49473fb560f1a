"""Drawing with a subject: what guidance, the cache and neighbours may change, and what they may not.

Legend: N pictures, K demonstrations, C channels, H height, W width.
"""

import pytest
import torch

from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.diffusion.sampling import SamplerName, draw
from suti.ml.subject.attention import SubjectContext
from suti.ml.subject.drawing import Step, draw_subject_pictures, encode_subject
from suti.ml.subject.files import SubjectModel
from tests.models.subject_models import SIZE_PX, tiny_subject_model

# diffusers' solvers hand torch tensors to np.array() in numpy 1's way; the numbers are right.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:diffusers")

SAMPLERS: list[SamplerName] = ["ddpm", "ddim", "dpmsolver++", "unipc"]
PROMPTS, SEEDS = ["a red mug", "a hat"], [11, 12]


@pytest.fixture(scope="module")
def model() -> SubjectModel:
    return tiny_subject_model()


def demonstrations_KCHW(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def subject_of(model: SubjectModel, seed: int = 3) -> SubjectContext:
    return encode_subject(model, demonstrations_KCHW(seed), ["a mug", "a mug on a table", ""])


def recipe(sampler: SamplerName = "ddim", **changes: float | None) -> SamplingRecipe:
    return SamplingRecipe.model_validate({"sampler": sampler, "steps": 5, "guidance": 3.0} | changes)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_guidance_of_weight_one_draws_what_the_conditional_model_draws(
    model: SubjectModel, sampler: SamplerName
) -> None:
    subject = subject_of(model)
    text = model.base.text.encode(PROMPTS)
    conditional_NCHW = draw(
        lambda noisy, t, /: model.network(noisy, torch.full((2,), t), text, subject=subject),
        seeds=SEEDS,
        shape_CHW=model.base.shape_CHW,
        scheduler_config=model.base.scheduler_config,
        sampler=sampler,
        steps=5,
        pixel_space=True,
    )

    one_NCHW = draw_subject_pictures(
        model, prompts=PROMPTS, seeds=SEEDS, subject=subject, recipe=recipe(sampler, guidance=1.0)
    )
    three_NCHW = draw_subject_pictures(
        model,
        prompts=PROMPTS,
        seeds=SEEDS,
        subject=subject,
        recipe=recipe(sampler, guidance=1.0, subject_guidance=1.0),
    )

    torch.testing.assert_close(one_NCHW, conditional_NCHW)
    torch.testing.assert_close(three_NCHW, conditional_NCHW, rtol=0, atol=2e-4)


@pytest.mark.parametrize("weight", [0.0, 2.5, 7.0])
def test_three_branches_with_equal_weights_draw_what_two_branches_draw(model: SubjectModel, weight: float) -> None:
    subject = subject_of(model)

    two_NCHW = draw_subject_pictures(
        model, prompts=PROMPTS, seeds=SEEDS, subject=subject, recipe=recipe(guidance=weight)
    )
    three_NCHW = draw_subject_pictures(
        model,
        prompts=PROMPTS,
        seeds=SEEDS,
        subject=subject,
        recipe=recipe(guidance=weight, subject_guidance=weight),
    )

    torch.testing.assert_close(three_NCHW, two_NCHW, rtol=0, atol=1e-3)


def test_a_subject_weight_of_zero_draws_what_the_base_draws_from_the_text(model: SubjectModel) -> None:
    base_NCHW = draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=None, recipe=recipe())

    blind_NCHW = draw_subject_pictures(
        model, prompts=PROMPTS, seeds=SEEDS, subject=subject_of(model), recipe=recipe(subject_guidance=0.0)
    )
    seeing_NCHW = draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=subject_of(model), recipe=recipe())

    torch.testing.assert_close(blind_NCHW, base_NCHW, rtol=0, atol=1e-4)
    assert (seeing_NCHW - base_NCHW).abs().max() > 0.01


@pytest.mark.parametrize("subject_guidance", [None, 2.0])
def test_keys_and_values_from_the_cache_draw_bit_for_bit_what_encoding_at_every_step_draws(
    model: SubjectModel, subject_guidance: float | None
) -> None:
    encodes: list[SubjectContext] = []

    def encode_anew() -> SubjectContext:
        encodes.append(subject_of(model))
        return encodes[-1]

    how = recipe(subject_guidance=subject_guidance)
    cached_NCHW = draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=subject_of(model), recipe=how)
    anew_NCHW = draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=encode_anew, recipe=how)

    assert len(encodes) == how.steps
    assert torch.equal(cached_NCHW, anew_NCHW)


@pytest.mark.parametrize(
    ("changes", "rows"), [({"guidance": 1.0}, 2), ({"guidance": 3.0}, 4), ({"subject_guidance": 2.0}, 6)]
)
def test_all_branches_of_guidance_are_one_batch_a_step(
    model: SubjectModel, changes: dict[str, float], rows: int
) -> None:
    batches: list[int] = []
    counting = model.network.unet.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))

    try:
        draw_subject_pictures(
            model, prompts=PROMPTS, seeds=SEEDS, subject=subject_of(model), recipe=recipe("ddim", **changes)
        )
    finally:
        counting.remove()

    assert batches == [rows] * 5


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch(model: SubjectModel, sampler: SamplerName) -> None:
    subject = subject_of(model)
    together_NCHW = draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=subject, recipe=recipe(sampler))

    for row in (0, 1):
        alone_NCHW = draw_subject_pictures(
            model, prompts=[PROMPTS[row]], seeds=[SEEDS[row]], subject=subject, recipe=recipe(sampler)
        )
        # Float rounding of other matrix sizes, raised by the guidance, is all that may differ.
        torch.testing.assert_close(alone_NCHW[0], together_NCHW[row], rtol=0, atol=2e-4)


def test_subjects_in_one_batch_do_not_mix(model: SubjectModel) -> None:
    mug, hat = subject_of(model, seed=3), subject_of(model, seed=4)
    both = SubjectContext.join([mug, hat])

    together_NCHW = draw_subject_pictures(
        model, prompts=["a", "a", "b", "b"], seeds=[1, 2, 3, 4], subject=both, recipe=recipe()
    )
    mugs_NCHW = draw_subject_pictures(model, prompts=["a", "a"], seeds=[1, 2], subject=mug, recipe=recipe())
    hats_NCHW = draw_subject_pictures(model, prompts=["b", "b"], seeds=[3, 4], subject=hat, recipe=recipe())

    torch.testing.assert_close(together_NCHW, torch.cat([mugs_NCHW, hats_NCHW]), rtol=0, atol=2e-4)


def test_the_text_to_avoid_takes_the_place_of_the_empty_one(model: SubjectModel) -> None:
    def drawn(avoid: list[str]) -> torch.Tensor:
        return draw_subject_pictures(
            model, prompts=PROMPTS, seeds=SEEDS, subject=None, recipe=recipe(guidance=0.0), avoid=avoid
        )

    # With a weight of 0 the free branch alone draws.
    said_NCHW = draw_subject_pictures(
        model, prompts=["a dog", ""], seeds=SEEDS, subject=None, recipe=recipe(guidance=1.0)
    )

    torch.testing.assert_close(drawn(["a dog", ""]), said_NCHW, rtol=0, atol=1e-4)
    assert not torch.allclose(drawn([]), said_NCHW)


def test_steps_are_told_in_order_with_the_models_guess_of_the_end(model: SubjectModel) -> None:
    told: list[tuple[int, int, torch.Tensor]] = []

    def on_step(step: Step) -> None:
        told.append((step.done, step.total, step.estimate()))

    end_NCHW = draw_subject_pictures(
        model, prompts=PROMPTS, seeds=SEEDS, subject=None, recipe=recipe("ddim"), on_step=on_step
    )

    assert [(done, total) for done, total, _ in told] == [(step, 5) for step in range(1, 6)]
    # DDIM's last step goes to x_0 itself (final_alpha_cumprod = 1), so its guess is the picture.
    torch.testing.assert_close(told[-1][2].clamp(-1, 1), end_NCHW, rtol=0, atol=1e-5)


def test_an_error_in_the_callback_ends_the_drawing_at_that_step(model: SubjectModel) -> None:
    done: list[int] = []

    def give_up(step: Step) -> None:
        done.append(step.done)
        if step.done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        draw_subject_pictures(model, prompts=PROMPTS, seeds=SEEDS, subject=None, recipe=recipe(), on_step=give_up)
    assert done == [1, 2]
