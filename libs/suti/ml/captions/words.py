"""The word lists of the built-in captioner and rewriter, and the grammar's sentences.

A list is a JSON file: `kinds` (class words), `scenes` ("on a beach"), `styles` ("watercolor painting"; the first is
the plain one, "photo"), `accessories` ("wearing a hat"), `colours` ("red") and, where wanted, more `attributes`
("wooden") and other `templates`. A folder may carry it as `tags.json`.

A template is a sentence with places for words: {kind}, {scene}, {style}, {accessory}, {attribute} and {seen} (what a
caption says without "a photo of a"); {name} is what the alt texts call the subject, {thing} its name and class word
("zorvo fish"), or the class word alone where it has no name. Every noun comes with its article too: {a_kind},
{a_thing}. {subject} is {thing} as the paper writes it: without an article where there is a name ("Hey duggee toy").
"""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from suti.core.errors import BadConfiguration

FILE = "tags.json"
_MAX_BYTES = 4_000_000
_PLACE = re.compile(r"\{(\w+)\}")


class WordListInvalid(BadConfiguration):
    """A word list cannot be read, or lacks what captions and prompts are made of."""

    reason = "WORD_LIST_INVALID"


class Templates(BaseModel):
    """The grammar's sentences."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    caption: str = "a {style} of {a_kind} {scene}"
    tag_kind: str = "a photo of {a_kind}"
    tag_scene: str = "a photo {scene}"
    tag_style: str = "{a_style}"
    refined: str = "{name} {seen}"
    recontextualisation: str = "a photo of {subject} {scene}"
    attribute: str = "a photo of {a_attribute} {thing}"
    style: str = "{a_style} of {subject}"
    accessory: str = "a photo of {subject} {accessory}"

    @field_validator("*")
    @classmethod
    def _only_known_words(cls, template: str) -> str:
        fill(template)
        return template


class WordLists(BaseModel):
    """The words that captions and target prompts are made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kinds: tuple[str, ...] = Field(min_length=1)
    scenes: tuple[str, ...] = Field(min_length=1)
    styles: tuple[str, ...] = Field(min_length=1, description="The first is the plain style of captions.")
    accessories: tuple[str, ...] = Field(min_length=1)
    colours: tuple[str, ...] = Field(min_length=1)
    attributes: tuple[str, ...] = ()
    templates: Templates = Templates()

    @field_validator("kinds", "scenes", "styles", "accessories", "colours", "attributes")
    @classmethod
    def _distinct_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(not word.strip() for word in words) or len(set(words)) != len(words):
            raise ValueError("holds an empty or repeated entry")
        return words

    @classmethod
    def load(cls, place: Path | None = None) -> Self:
        """The word list at a file, in a folder's `tags.json`, or (without a place) the built-in one.

        Raises:
            WordListInvalid: no such file, no JSON, or a list is missing, empty or repeats itself.
        """
        try:
            if place is None:
                return cls.model_validate_json(resources.files(__package__).joinpath(FILE).read_bytes())
            path = place / FILE if place.is_dir() else place
            if path.stat().st_size > _MAX_BYTES:
                raise WordListInvalid(f"{path} is larger than {_MAX_BYTES} bytes: is it a word list?")
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValidationError, ValueError) as error:
            raise WordListInvalid(f"word list {place}: {error}; correct it (docs: suti.ml.captions.words)") from error


def a(noun: str) -> str:
    """The noun with its indefinite article: "a fish", "an owl"; by the first letter, which is right for our words."""
    if not noun:
        return noun
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def fill(
    template: str,
    *,
    kind: str = "",
    name: str = "",
    scene: str = "",
    style: str = "",
    accessory: str = "",
    attribute: str = "",
    seen: str = "",
) -> str:
    """A template with its words. Raises ValueError for a template with an unknown word."""
    thing = f"{name} {kind}" if name and kind else name or kind
    words = {
        "kind": kind,
        "name": name,
        "thing": thing,
        "scene": scene,
        "style": style,
        "accessory": accessory,
        "attribute": attribute,
        "seen": seen,
    }
    words |= {f"a_{place}": a(word) for place, word in words.items()}
    words["subject"] = thing if name else a(kind)
    # Not str.format: a list may come from anywhere, and format reaches into attributes.
    filled = _PLACE.sub(lambda place: words.get(place[1], place[0]), template)
    if "{" in filled or "}" in filled:
        raise ValueError(f"template {template!r} has an unknown word or an unmatched brace")
    return " ".join(filled.split())
