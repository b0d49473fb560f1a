import json
from collections import Counter
from pathlib import Path

import pytest

from suti.core.records import Skill
from suti.ml.evaluation.prompts import Prompt, PromptsUnreadable, prompt_set, prompts_for


def test_dreambench_has_thirty_subjects_nine_of_them_alive_and_twenty_five_prompts_for_each() -> None:
    found = prompt_set("dreambench")

    assert Counter(one.kind for one in found.subjects.values()) == {"object": 21, "live": 9}
    assert len({one.class_word for one in found.subjects.values()}) == 15
    assert {kind: len(texts) for kind, texts in found.templates.items()} == {"object": 25, "live": 25}
    assert found.subjects["grey_sloth_plushie"].class_word == "stuffed animal"
    assert "google/dreambooth" in found.source


def test_templates_stand_in_the_order_of_the_data_set() -> None:
    objects, live = (prompts_for(prompt_set("dreambench"), kind) for kind in ("object", "live"))

    assert [one.number for one in objects] == list(range(25))
    assert objects[14].text("sks toy") == "a sks toy floating in an ocean of milk"
    assert live[13].text("dog") == "a dog wearing a black top hat and a monocle"
    assert (objects[24].text("can"), live[24].text("cat")) == ("a cube shaped can", "a cube shaped cat")
    assert [one.template for one in objects[:10]] == [one.template for one in live[:10]]


def test_the_four_skills_are_asked_for_equally_often() -> None:
    for kind in ("object", "live"):
        assert Counter(one.skill for one in prompts_for(prompt_set("skills"), kind)) == dict.fromkeys(Skill, 5)


@pytest.mark.parametrize(
    ("template", "subject", "text"),
    [
        ("a {} in the snow", "toy", "a toy in the snow"),
        ("a {} in the snow", "owl", "an owl in the snow"),
        ("a red {}", "owl", "a red owl"),
        ("a pencil sketch of a {}", "apple", "a pencil sketch of an apple"),
    ],
)
def test_a_subject_is_put_into_a_template_with_its_article(template: str, subject: str, text: str) -> None:
    assert Prompt(0, Skill.STYLE, template).text(subject) == text


def test_prompts_of_ones_own_are_read_from_a_file_and_nonsense_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    told = {"source": "me", "templates": {"object": [{"skill": "style", "text": "a {} of wool"}]}}
    own.write_text(json.dumps(told))
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"source": "me", "templates": {"object": [{"skill": "style", "text": "no place"}]}}))

    assert prompts_for(prompt_set(str(own)), "object")[0].text("cat") == "a cat of wool"
    assert prompts_for(prompt_set(str(own)), "live") == ()
    for name in (str(bad), str(tmp_path / "nowhere.json"), "dreambench-v3"):
        with pytest.raises(PromptsUnreadable):
            prompt_set(name)
