import re
from dataclasses import replace

import pytest

from suti.core.errors import InvalidArgument
from suti.core.records import Skill
from suti.ml.captions.grammar import GrammarRewriter
from suti.ml.captions.words import WordLists
from suti.toyworld import words
from suti.toyworld.captions import caption, kind_of_prompt, name, prompt, prompts, subject_words, view_of_prompt
from suti.toyworld.subjects import Subject, draw_subject
from suti.toyworld.views import View, draw_view

FISH = Subject("fish", "round", "slim", "horns", "wings", "one", "stripes", "red", "blue", "yellow")


def asked(view: View) -> tuple[str, str, str, str]:
    return view.scene, view.style, view.accessory, view.attribute


def test_a_caption_says_what_is_drawn() -> None:
    text = caption(FISH, View(scene="beach"), seed=3)
    assert re.fullmatch(
        r"a photo of a (slim )?(round )?red fish with blue stripes, horns, wings and one eye on a beach", text
    )


def test_a_caption_without_detail_names_the_class_alone() -> None:
    assert caption(FISH, View(scene="snow"), detail=0) == "a photo of a fish in the snow"


def test_a_caption_says_style_accessory_and_attribute_at_any_detail() -> None:
    view = View(style="watercolor", accessory="hat", attribute="green")
    assert caption(FISH, view, detail=0) == "a watercolor painting of a green fish wearing a hat"


def test_a_caption_may_say_the_made_up_name() -> None:
    assert caption(FISH, View(scene="sea"), named=True) == f"a photo of a {name(FISH)} under the sea"


def test_a_caption_keeps_silent_on_what_an_accessory_hides() -> None:
    assert "horns" not in caption(FISH, View(accessory="hat"))
    assert "eye" not in caption(FISH, View(accessory="sunglasses"))


def test_the_plain_studio_is_said_on_demand_only() -> None:
    assert caption(FISH, View(), detail=0) == "a photo of a fish"
    assert caption(FISH, View(), detail=0, say_scene=True) == "a photo of a fish in a studio"


def test_a_name_belongs_to_an_identity() -> None:
    assert name(FISH) == name(replace(FISH))
    assert name(FISH).endswith(" fish")
    assert len({name(draw_subject(seed)) for seed in range(2_000)}) > 1_990


def test_every_trait_can_be_spoken_of() -> None:
    assert subject_words(FISH) == ["red and blue", "blue stripes", "horns", "wings", "one eye", "slim", "round"]
    assert "a blue bottom" in subject_words(replace(FISH, pattern="bottom"))
    assert "an orange side" in subject_words(replace(FISH, pattern="side", colour_second="orange"))


@pytest.mark.parametrize("skill", Skill)
def test_a_prompt_leads_back_to_the_view_it_asks_for(skill: Skill) -> None:
    for seed in range(200):
        view = draw_view(seed, skill=skill)
        assert asked(view_of_prompt(prompt("cat", view))) == asked(view)


@pytest.mark.parametrize("skill", Skill)
def test_prompts_of_a_skill_are_all_different(skill: Skill) -> None:
    texts = prompts("robot", skill)
    assert len(set(texts)) == len(texts) >= 6
    assert len({asked(view_of_prompt(text)) for text in texts}) == len(texts)


def test_prompts_of_the_pipelines_own_grammar_are_understood() -> None:
    rewriter = GrammarRewriter(WordLists.model_validate(words.tags()))
    told = [f"{name(FISH)} on a beach", f"red {name(FISH)}", name(FISH)]
    for kind_texts in (["a photo of a fish on a beach"], told):
        proposed = rewriter.propose(kind_texts, count=30, seed=1)
        assert len(proposed) > 20
        for target in proposed:
            view = view_of_prompt(target.text)
            assert kind_of_prompt(target.text) == "fish"
            changed = {
                Skill.RECONTEXTUALISATION: view.scene != "beach",
                Skill.STYLE: view.style != "photo",
                Skill.ACCESSORY: view.accessory != "none",
                Skill.ATTRIBUTE: view.attribute != "none",
            }
            assert changed[target.skill], target.text


def test_a_text_about_something_else_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="names none of"):
        view_of_prompt("a photo of a dragon")
    assert not kind_of_prompt("a photo of a dragon")


def test_the_word_lists_hold_no_word_twice() -> None:
    for name_of_list in ("kinds", "scenes", "styles", "accessories", "colours"):
        entries = words.tags()[name_of_list]
        assert len(set(entries)) == len(entries) >= 6
