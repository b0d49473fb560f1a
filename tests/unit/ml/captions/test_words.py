import json
from pathlib import Path
from typing import Any

import pytest

from suti.ml.captions.words import WordListInvalid, WordLists, a, fill

SMALL: dict[str, Any] = {
    "kinds": ["fish", "owl"],
    "scenes": ["on a beach", "in the snow"],
    "styles": ["photo", "oil painting"],
    "accessories": ["wearing a hat"],
    "colours": ["red", "orange"],
}


def test_the_built_in_lists_are_rich_and_without_repeats() -> None:
    words = WordLists.load()

    assert len(words.kinds) > 250
    assert len(words.scenes) > 50
    assert words.styles[0] == "photo"
    assert all(scene.split()[0] in {"on", "in", "at", "by", "under", "next"} for scene in words.scenes)


def test_a_folder_may_bring_its_own_lists_and_sentences(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text(json.dumps({**SMALL, "templates": {"caption": "{a_kind} {scene}"}, "note": 1}))

    words = WordLists.load(tmp_path)

    assert words == WordLists.load(tmp_path / "tags.json")
    assert fill(words.templates.caption, kind="owl", scene="on a beach") == "an owl on a beach"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        json.dumps({**SMALL, "kinds": []}),
        json.dumps({**SMALL, "kinds": ["fish", "fish"]}),
        json.dumps({**SMALL, "scenes": [""]}),
        json.dumps({**SMALL, "scenes": "beach"}),
        json.dumps({**SMALL, "templates": {"style": "{planet}"}}),
        json.dumps({**SMALL, "templates": {"style": "{kind.__class__}"}}),
        json.dumps({**SMALL, "templates": {"style": "{0}"}}),
        json.dumps({**SMALL, "templates": {"style": "{"}}),
    ],
)
def test_a_list_that_cannot_make_sentences_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tags.json").write_text(content)

    with pytest.raises(WordListInvalid, match="correct it"):
        WordLists.load(tmp_path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WordListInvalid):
        WordLists.load(tmp_path / "nowhere.json")


def test_articles_follow_the_first_letter() -> None:
    assert [a("fish"), a("owl"), a("")] == ["a fish", "an owl", ""]


def test_sentences_take_the_specific_name_where_there_is_one() -> None:
    template = "a photo of {subject} {scene}"

    assert fill(template, kind="owl", name="Hooty", scene="in the snow") == "a photo of Hooty owl in the snow"
    assert fill(template, kind="owl", scene="in the snow") == "a photo of an owl in the snow"
    assert fill("{a_attribute} {thing}", kind="owl", name="Hooty", attribute="orange") == "an orange Hooty owl"
    assert fill("{a_thing}", kind="owl") == "an owl"


def test_a_word_with_braces_stays_a_word() -> None:
    assert fill("{name} {seen}", name="zorvo", seen="fish") == "zorvo fish"
