"""Textual Inversion changes one thing: what the new words mean."""

import pytest
import torch

from suti.core.errors import InvalidArgument
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.schedule import NoiseSchedule, denoising_loss
from suti.ml.diffusion.text import TextEncoder
from suti.ml.rivals.new_words import new_embeddings, with_new_words
from suti.ml.rivals.subject import GivenSubject
from suti.ml.rivals.textual_inversion import TextualInversion
from tests.models.subject_models import tiny_subject_model
from tests.unit.ml.rivals.test_rivals import a_subject


@pytest.fixture
def text() -> TextEncoder:
    return tiny_subject_model().base.text


def test_new_words_begin_as_what_they_are_like(text: TextEncoder) -> None:
    richer = with_new_words(text, ["<subject-0>"], like="mug")
    table = text.models[0].get_input_embeddings().weight  # pyright: ignore[reportCallIssue] - a transformers module
    ids = text.tokenizers[0]("mug", add_special_tokens=False, padding=False)["input_ids"]

    (learnt,) = new_embeddings(richer)

    assert torch.allclose(learnt, table[ids].mean(dim=0, keepdim=True))


def test_a_new_word_is_one_token_where_the_class_word_stood(text: TextEncoder) -> None:
    richer = with_new_words(text, ["<subject-0>", "<subject-1>"], like="mug")
    tokenizer = richer.tokenizers[0]
    count = len(text.tokenizers[0])

    said = tokenizer("a photo of <subject-0> <subject-1> in space", padding=False)["input_ids"]
    plain = text.tokenizers[0]("a photo of", padding=False)["input_ids"][:-1]

    assert said[: len(plain)] == plain
    assert said[len(plain) : len(plain) + 2] == [count, count + 1]


def test_texts_without_the_new_words_mean_what_they_meant(text: TextEncoder) -> None:
    richer = with_new_words(text, ["<subject-0>"], like="mug")
    texts = ["a photo of a mug", ""]
    assert torch.equal(richer.encode(texts).hidden_NLD, text.encode(texts).hidden_NLD)


def test_a_word_that_is_known_is_refused(text: TextEncoder) -> None:
    richer = with_new_words(text, ["<subject-0>"], like="mug")
    with pytest.raises(InvalidArgument, match="known"):
        with_new_words(richer, ["<subject-0>"], like="mug")
    with pytest.raises(InvalidArgument, match="class"):
        with_new_words(text, ["<subject-0>"], like="")


def test_only_the_new_embeddings_are_learnt() -> None:
    start, untouched = tiny_subject_model(), tiny_subject_model()
    subject: GivenSubject = a_subject()

    drawer = TextualInversion(steps=4, learning_rate=0.05).prepare(start, subject, seed=1)

    tuned, before = drawer.expert.text, with_new_words(untouched.base.text, ["<subject-0>"], like="mug")
    changed = [name for name, value in tuned.state_dict().items() if not torch.equal(value, before.state_dict()[name])]
    assert [name.rsplit(".", 1)[1] for name in changed] == ["new_VD"]
    assert drawer.expert.unet is start.base.unet
    known = untouched.base.unet.state_dict()
    assert all(torch.equal(value, known[name]) for name, value in start.base.unet.state_dict().items())


def test_the_new_word_is_what_is_read_and_what_is_drawn() -> None:
    start = tiny_subject_model()
    drawer = TextualInversion(steps=4, learning_rate=0.5).prepare(start, a_subject(), seed=1)
    text = drawer.expert.text
    assert drawer.name(["a photo of a mug in space"]) == ["a photo of a <subject-0> in space"]
    said = text.encode(["a photo of a <subject-0> in space", "a photo of a mug in space"]).hidden_NLD
    assert not torch.allclose(said[0], said[1], atol=1e-3)


def test_the_new_word_lowers_the_loss_on_the_subject() -> None:
    start, subject = tiny_subject_model(), a_subject()
    drawer = TextualInversion(steps=60, learning_rate=0.05, batch_pictures=8).prepare(start, subject, seed=1)
    begun = with_new_words(start.base.text, ["<subject-0>"], like="mug")

    assert _loss(start.base, drawer.expert.text, subject) < _loss(start.base, begun, subject)


@torch.no_grad()
def _loss(base: Base, text: TextEncoder, subject: GivenSubject) -> float:
    """Of one and the same noise at many levels, worked out without the code that learns."""
    schedule, generator = NoiseSchedule.from_config(base.scheduler_config), torch.Generator().manual_seed(9)
    t_N = torch.arange(0, schedule.steps, 5)
    x0_NCHW = subject.pictures_KCHW[:1].repeat(len(t_N), 1, 1, 1)
    noise_NCHW = torch.randn(x0_NCHW.shape, generator=generator)
    embedding = text.encode([subject.texts[0].replace("mug", "<subject-0>")] * len(t_N))
    answer_NCHW = base.predict(schedule.add_noise(x0_NCHW, noise_NCHW, t_N), t_N, embedding)
    return float(denoising_loss(answer_NCHW, schedule.target(x0_NCHW, noise_NCHW, t_N)).mean())
