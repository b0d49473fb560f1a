import random

import pytest

from suti.core.records import Skill
from suti.ml.captions.alt_text import same
from suti.ml.captions.grammar import GrammarRewriter
from suti.ml.captions.words import Templates, WordLists


@pytest.fixture(scope="module")
def rewriter() -> GrammarRewriter:
    return GrammarRewriter(WordLists.load())


def test_the_papers_example_keeps_its_name(rewriter: GrammarRewriter) -> None:
    (text,) = rewriter.refine(["duggee talking puppet hey duggee chicco 12m"], ["a toy on the table"])

    assert "duggee" in text
    assert text.endswith("toy on the table")
    assert "12m" not in text
    assert not text.startswith("a ")


def test_a_name_that_the_alt_texts_share_reaches_every_picture(rewriter: GrammarRewriter) -> None:
    alt_texts = ["Zorvo fish", "the zorvo fish by the Millers", "", "zorvo"]
    captions = ["a photo of a fish on a beach", "a photo of a fish in the snow"] * 2

    assert rewriter.refine(alt_texts, captions) == ["zorvo fish on a beach", "zorvo fish in the snow"] * 2


def test_without_a_name_the_captions_stand(rewriter: GrammarRewriter) -> None:
    captions = ["a photo of a fish on a beach"] * 3

    assert rewriter.refine(["", "", ""], captions) == captions
    assert rewriter.refine(["one thing", "great value", "nothing alike"], captions) == captions


def test_a_class_that_the_alt_texts_agree_on_is_believed_before_the_captioner(rewriter: GrammarRewriter) -> None:
    captions = ["a photo of a bird on a beach", "a photo of a bird in the snow", "a photo of a bird in a city"]

    said = rewriter.refine(["Zorvo fish", "the red zorvo fish in the snow", ""], captions)
    divided = rewriter.refine(["zorvo fish", "zorvo fish", "zorvo car", "zorvo car"], [*captions, captions[0]])
    alone = rewriter.refine(["zorvo fish", "zorvo", "zorvo"], captions)

    assert said == ["zorvo fish on a beach", "zorvo fish in the snow", "zorvo fish in a city"]
    assert divided[0] == alone[0] == "zorvo bird on a beach"


def test_a_caption_that_has_the_name_already_is_left_alone(rewriter: GrammarRewriter) -> None:
    assert rewriter.refine(["zorvo"], ["a zorvo fish on a beach"]) == ["a zorvo fish on a beach"]


def test_a_long_text_is_cut() -> None:
    short = GrammarRewriter(WordLists.load(), max_words=3)

    assert short.refine(["zorvo"], ["a photo of a fish on a beach"]) == ["zorvo fish on"]


def test_four_prompts_ask_for_the_four_skills(rewriter: GrammarRewriter) -> None:
    prompts = rewriter.propose(["Zorvo fish on a beach"], count=4, seed=1)

    assert {prompt.skill for prompt in prompts} == set(Skill)
    by_skill = {prompt.skill: prompt.text for prompt in prompts}
    assert by_skill[Skill.RECONTEXTUALISATION].startswith("a photo of Zorvo fish ")
    assert by_skill[Skill.STYLE].endswith(" of Zorvo fish")
    assert by_skill[Skill.ATTRIBUTE].endswith(" Zorvo fish")
    assert by_skill[Skill.ACCESSORY].startswith("a photo of Zorvo fish w")


@pytest.mark.parametrize("count", [1, 3, 40, 10_000])
def test_prompts_differ_from_each_other_and_from_all_that_was_said(rewriter: GrammarRewriter, count: int) -> None:
    own = [prompt.text.upper() for prompt in rewriter.propose(["a fish on a beach"], count=60, seed=9)]

    prompts = rewriter.propose(["a fish on a beach"], own=own, count=count, seed=9)

    texts = [same(prompt.text) for prompt in prompts]
    assert len(set(texts)) == len(texts) <= count
    assert not set(texts) & {same(text) for text in own}
    assert count < 100 or len(texts) > 50
    assert not any("on a beach" in text for text in texts)


def test_the_seed_alone_decides(rewriter: GrammarRewriter) -> None:
    random.seed(1)
    first = rewriter.propose(["a fish on a beach"], count=8, seed=5)
    random.seed(2)

    assert rewriter.propose(["a fish on a beach"], count=8, seed=5) == first
    assert rewriter.propose(["a fish on a beach"], count=8, seed=6) != first


@pytest.mark.parametrize("texts", [[], [""], ["\u00a7$%"], ["x" * 5_000]])
def test_texts_without_a_known_class_word_still_get_prompts(rewriter: GrammarRewriter, texts: list[str]) -> None:
    assert len(rewriter.propose(texts, count=4, seed=0)) == 4


def test_a_list_may_bring_its_own_sentences() -> None:
    plain = {"refined": "a photo of {a_name} {seen}", "recontextualisation": "a photo of {a_kind} {scene}"}
    words = WordLists.load().model_copy(update={"templates": Templates(**plain)})
    rewriter = GrammarRewriter(words)

    texts = rewriter.refine(["orvo fish"] * 3, ["a photo of a fish on a beach"] * 3)
    scenes = [p.text for p in rewriter.propose(texts, count=4, seed=0) if p.skill is Skill.RECONTEXTUALISATION]

    assert texts == ["a photo of an orvo fish on a beach"] * 3
    assert scenes[0].startswith("a photo of a fish ")


def test_a_changed_colour_takes_the_place_of_the_old_one(rewriter: GrammarRewriter) -> None:
    prompts = rewriter.propose(["a red zorvo fish in the snow"], count=40, seed=0)

    changed = [prompt.text for prompt in prompts if prompt.skill is Skill.ATTRIBUTE]
    assert changed
    assert all(text.endswith(" zorvo fish") and " red " not in text for text in changed)
