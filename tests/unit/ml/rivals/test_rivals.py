"""Rivals: one call for all of them, the same noise for the same seed, and nothing is changed that should not be."""

import copy
from collections.abc import Callable

import pytest
import torch
from pydantic import BaseModel, TypeAdapter
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.recipe import SamplingRecipe
from suti.ml.experts.recipe import ExpertRecipe
from suti.ml.rivals.dream_suti import DreamSuti
from suti.ml.rivals.every import AnyRival
from suti.ml.rivals.fine_tuned import DreamBooth, Lora
from suti.ml.rivals.subject import GivenSubject, with_identifier, with_placeholder
from suti.ml.rivals.textual_inversion import TextualInversion
from suti.ml.rivals.untuned import BaseAlone, InContext
from suti.ml.subject.files import SubjectModel
from tests.models.subject_models import SIZE_PX, tiny_subject_model

SAMPLING = SamplingRecipe(sampler="ddim", steps=3, guidance=2.0, batch_pictures=2)
SHORT = ExpertRecipe(optimizer="adamw", steps=3, learning_rate=1e-3, batch_pictures=2)
SHORT_LORA = SHORT.model_copy(update={"method": "lora", "lora_rank": 2})
RIVALS: list[AnyRival] = [
    BaseAlone(),
    InContext(shown=3),
    TextualInversion(steps=3, learning_rate=0.05, batch_pictures=2, vectors=2),
    DreamBooth(tuning=SHORT, identifier="sks", prior_pictures=2, prior_sampling=SAMPLING),
    Lora(tuning=SHORT_LORA, identifier=""),
    DreamSuti(steps=3, optimizer="adamw", learning_rate=1e-3, pairs=2),
]
each_rival = pytest.mark.parametrize("rival", RIVALS, ids=lambda one: one.rival)


def a_subject(count: int = 3) -> GivenSubject:
    """A bright square that wanders."""
    pictures_KCHW = torch.full((count, 3, SIZE_PX, SIZE_PX), -0.5)
    for one in range(count):
        pictures_KCHW[one, 0, 4 : 10 + one, 2 + one : 9 + one] = 0.9
    return GivenSubject(pictures_KCHW, [f"a photo of a mug on table {one}" for one in range(count)], "mug")


@pytest.fixture(scope="module")
def start() -> SubjectModel:
    return tiny_subject_model()


def drawn(rival: AnyRival, start: SubjectModel, *, seed: int = 1) -> Tensor:
    drawer = rival.prepare(start, a_subject(), seed=seed)
    return drawer.draw(["a photo of a mug in space"] * 3, [5, 6, 7], recipe=SAMPLING)


@each_rival
def test_every_rival_draws_by_the_same_call_and_the_same_seed_gives_the_same_bits(
    rival: AnyRival, start: SubjectModel
) -> None:
    one_NCHW, other_NCHW = drawn(rival, start), drawn(rival, start)

    assert one_NCHW.shape == (3, 3, SIZE_PX, SIZE_PX)
    assert one_NCHW.abs().amax() <= 1
    assert torch.equal(one_NCHW, other_NCHW)


@each_rival
def test_what_a_rival_starts_from_stays_as_it_is(rival: AnyRival) -> None:
    start, untouched = tiny_subject_model(), tiny_subject_model()
    for model in (start, untouched):  # as models come from a folder
        model.base.unet.requires_grad_(requires_grad=False)
        model.base.text.requires_grad_(requires_grad=False)

    drawn(rival, start)

    for after, before in ((start.network, untouched.network), (start.base.text, untouched.base.text)):
        state, known = after.state_dict(), before.state_dict()
        assert list(state) == list(known)
        assert all(torch.equal(state[name], known[name]) for name in known)
        assert [one.requires_grad for one in after.parameters()] == [one.requires_grad for one in before.parameters()]
        assert all(one.grad is None for one in after.parameters())


@each_rival
def test_a_seed_is_the_same_noise_for_every_rival(rival: AnyRival) -> None:
    # A network that answers nothing leaves a picture that is a function of the noise alone.
    start = tiny_subject_model()
    for weight in start.base.unet.conv_out.parameters():
        torch.nn.init.zeros_(weight)
    still = rival.model_copy(update=_no_tuning(rival))

    assert torch.equal(drawn(still, start), drawn(BaseAlone(), start))


@each_rival
def test_a_recipe_is_frozen_and_comes_back_from_json(rival: AnyRival) -> None:
    known: TypeAdapter[AnyRival] = TypeAdapter(AnyRival)

    assert known.validate_json(rival.model_dump_json()) == rival
    assert isinstance(rival, BaseModel)
    with pytest.raises(ValueError, match="frozen"):
        rival.rival = "base"  # pyright: ignore[reportAttributeAccessIssue] - that is what is tested


@pytest.mark.parametrize(
    "rival",
    [
        DreamBooth(tuning=SHORT.model_copy(update={"steps": 40, "learning_rate": 3e-3}), prior_pictures=0),
        DreamSuti(steps=40, optimizer="adamw", learning_rate=3e-3, text_dropout=0.0),
    ],
    ids=lambda one: one.rival,
)
def test_tuning_lowers_the_loss_on_the_subject(rival: DreamBooth | DreamSuti) -> None:
    losses: list[float] = []
    counted: Callable[[int, int, float], None] = lambda done, total, loss: losses.append(loss)  # noqa: E731

    rival.prepare(tiny_subject_model(), a_subject(), seed=1, callback=counted)

    assert len(losses) == 40
    assert sum(losses[-10:]) < sum(losses[:10])


def test_the_base_sees_nothing_of_the_subject(start: SubjectModel) -> None:
    other = GivenSubject(-a_subject().pictures_KCHW, a_subject().texts, "mug")
    prompts, seeds = ["a photo of a mug"], [3]
    pictures = [
        BaseAlone().prepare(start, one, seed=0).draw(prompts, seeds, recipe=SAMPLING) for one in (a_subject(), other)
    ]
    assert torch.equal(*pictures)


def test_no_more_demonstrations_are_shown_than_the_recipe_says(start: SubjectModel) -> None:
    few, all_three = (
        InContext(shown=2).prepare(start, a_subject(), seed=0),
        InContext().prepare(start, a_subject(), seed=0),
    )
    assert few.subject is not None
    assert all_three.subject is not None
    assert 3 * few.subject.size_bytes == 2 * all_three.subject.size_bytes


def test_dream_suti_without_steps_is_the_apprentice(start: SubjectModel) -> None:
    assert torch.equal(drawn(DreamSuti(steps=0, shown=3), start), drawn(InContext(shown=3), start))


def test_dream_suti_starts_from_the_apprentice(start: SubjectModel) -> None:
    barely = DreamSuti(steps=1, optimizer="adamw", learning_rate=1e-9, shown=3)
    assert torch.allclose(drawn(barely, start), drawn(InContext(shown=3), start), atol=1e-4)
    assert not torch.equal(drawn(barely, start), drawn(BaseAlone(), start))


def test_every_step_sees_as_many_prior_pictures_as_of_the_subject_and_adds_their_weighted_loss(
    start: SubjectModel,
) -> None:
    # Nothing learns, so losses of all steps are those of one network; the subject's are the same without a prior.
    still = SHORT.model_copy(update={"steps": 6, "learning_rate": 1e-12})
    plain, half, whole = (
        DreamBooth(prior_pictures=pictures, prior_weight=weight, prior_sampling=SAMPLING, tuning=still)
        .prepare(start, a_subject(), seed=1)
        .losses
        for pictures, weight in ((0, 1.0), (5, 0.5), (5, 1.0))
    )

    of_prior = [both - own for both, own in zip(whole, plain, strict=True)]
    assert all(loss > 0.01 for loss in of_prior)
    assert [both - own for both, own in zip(half, plain, strict=True)] == pytest.approx(
        [loss / 2 for loss in of_prior], rel=1e-3
    )


def test_textual_inversion_rate_is_the_papers_for_each_of_its_pictures() -> None:
    assert TextualInversion().learning_rate / TextualInversion().batch_pictures == pytest.approx(0.005)  # Gal et al.


def test_an_identifier_stands_before_the_class_word_and_a_placeholder_in_its_place() -> None:
    texts = ["a photo of a red fish in space", "a photo of a zorvo fish"]
    assert with_identifier(texts, "fish", "sks")[0] == "a photo of a red sks fish in space"
    assert with_identifier(texts, "fish", "") == texts
    assert with_placeholder(texts, "fish", "S*") == ["a photo of a red S* in space", "a photo of a zorvo S*"]


def test_a_text_without_the_class_word_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'fish'"):
        with_placeholder(["a photo of a goldfish"], "fish", "S*")
    with pytest.raises(InvalidArgument, match="0 for 3 pictures"):
        GivenSubject(a_subject().pictures_KCHW, [], "mug")


def _no_tuning(rival: AnyRival) -> dict[str, object]:
    match rival:
        case DreamBooth() | Lora():
            tuning = rival.tuning.model_copy(update={"steps": 1, "learning_rate": 1e-12})
            return {"tuning": tuning, "prior_pictures": 0} if isinstance(rival, DreamBooth) else {"tuning": tuning}
        case DreamSuti():
            return {"steps": 0}
        case _:
            return {}


def test_the_model_given_may_be_copied_with_its_attention(start: SubjectModel) -> None:
    twin = copy.deepcopy(start)
    assert torch.equal(drawn(InContext(), twin), drawn(InContext(), start))
