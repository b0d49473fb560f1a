"""What is true of a picture, in the few regular sentences that captions, tags and prompts share.

"a photo of a red fish with blue stripes, horns and wings on a beach": style, article, class with what is said of the
subject, what it wears, scene. A picture in the plain studio may leave the scene out, so a prompt that names none is
drawn there.
"""

import random
import re

from suti.core.errors import InvalidArgument
from suti.core.records import Skill
from suti.toyworld import words
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View

_SYLLABLES = tuple(first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou")
_ENDINGS = ("", "n", "x", "r", "l", "m")


def name(subject: Subject) -> str:
    """What a shop would call it: "zorvo fish". Depends on the traits alone."""
    rest, made_up = subject.digest, ""
    for _ in range(3):
        rest, at = divmod(rest, len(_SYLLABLES))
        made_up += _SYLLABLES[at]
    return f"{made_up}{_ENDINGS[rest % len(_ENDINGS)]} {subject.kind}"


def subject_words(subject: Subject) -> list[str]:
    """Everything that can be said of a subject, a phrase a trait: "blue stripes", "horns", "one eye"."""
    pattern = _pattern(subject)
    colours = f"{subject.colour_body} and {subject.colour_second}"
    other = [words.TOPS[subject.top], words.SIDES[subject.side], words.EYES[subject.eyes]]
    shape = [words.ASPECTS[subject.aspect], words.FORMS[subject.form]]
    return [phrase for phrase in (colours, pattern, *other, *shape) if phrase]


def caption(
    subject: Subject,
    view: View,
    *,
    seed: int = 0,
    detail: float = 1.0,
    named: bool = False,
    say_scene: bool | None = None,
) -> str:
    """One true sentence about a picture.

    Args:
        subject: who is seen.
        view: how; its style, accessory and attribute are always said.
        seed: chooses which of the subject's traits are said.
        detail: the share of the subject's traits that are said: 0 names the class alone.
        named: say the made-up name instead of traits.
        say_scene: whether the scene is said; by default unless it is the plain studio.
    """
    if named:
        thing = name(subject) if view.attribute == "none" else f"{view.attribute} {name(subject)}"
    else:
        thing = _described(subject, view, random.Random(seed), detail)  # noqa: S311 - repeatable on purpose
    scene = view.scene != words.PLAIN_SCENE if say_scene is None else say_scene
    return _sentence(thing, view, scene=scene)


def prompt(kind: str, view: View) -> str:
    """The target prompt that asks for a view of some subject of a class; what `view_of_prompt` understands."""
    return _sentence(kind if view.attribute == "none" else f"{view.attribute} {kind}", view)


def prompts(kind: str, skill: Skill) -> list[str]:
    """All plain target prompts of one skill, in the order of the word lists."""
    match skill:
        case Skill.RECONTEXTUALISATION:
            return [f"a photo of {_a(kind)} {phrase}" for phrase in words.SCENES.values()]
        case Skill.ATTRIBUTE:
            return [prompt(kind, View(attribute=colour)) for colour in words.COLOURS]
        case Skill.STYLE:
            return [prompt(kind, View(style=style)) for style in words.STYLES if style != "photo"]
        case Skill.ACCESSORY:
            return [prompt(kind, View(accessory=accessory)) for accessory in words.ACCESSORIES if accessory != "none"]


def view_of_prompt(text: str) -> View:
    """The scene, style, accessory and attribute that a prompt asks for, in the pose of a default view.

    An attribute is a colour right before the class word (or before one made-up name and the class word).

    Raises:
        InvalidArgument: no class word of the toy world in it.
    """
    found = re.search(rf"\b(?:({'|'.join(words.COLOURS)}) )?(?:\w+ )?({'|'.join(words.KINDS)})\b", text)
    if found is None:
        raise InvalidArgument("prompt", f"{text!r} names none of {', '.join(words.KINDS)}")
    return View(
        scene=_said(text, words.SCENES, otherwise=words.PLAIN_SCENE),
        style=_said(text, words.STYLES, otherwise="photo"),
        accessory=_said(text, words.ACCESSORIES, otherwise="none"),
        attribute=found[1] or "none",
    )


def kind_of_prompt(text: str) -> str:
    """The class word in a prompt, or an empty text."""
    found = re.search(rf"\b({'|'.join(words.KINDS)})\b", text)
    return found[1] if found else ""


def _described(subject: Subject, view: View, choose: random.Random, detail: float) -> str:
    body = subject.colour_body if view.attribute == "none" else view.attribute
    before = [
        adjective
        for adjective in (words.ASPECTS[subject.aspect], words.FORMS[subject.form])
        if adjective and choose.random() < detail * 0.5
    ]
    if view.attribute != "none" or choose.random() < detail:
        before.append(body)
    after = [
        phrase
        for phrase in (
            _pattern(subject) if view.attribute != subject.colour_second else "",
            words.TOPS[subject.top] if view.accessory not in {"hat", "crown"} else "",
            words.SIDES[subject.side],
            words.EYES[subject.eyes] if view.accessory != "sunglasses" else "",
        )
        if phrase and choose.random() < detail
    ]
    return " ".join((*before, subject.kind)) + (f" with {_listed(after)}" if after else "")


def _pattern(subject: Subject) -> str:
    phrase = words.PATTERNS[subject.pattern]
    if not phrase:
        return ""
    if "{colour}" in phrase:
        return phrase.replace("a {colour}", _a(subject.colour_second))
    return f"{subject.colour_second} {phrase}"


def _sentence(thing: str, view: View, *, scene: bool | None = None) -> str:
    said = view.scene != words.PLAIN_SCENE if scene is None else scene
    parts = (_a(words.STYLES[view.style]), "of", _a(thing), words.ACCESSORIES[view.accessory])
    return " ".join(part for part in (*parts, words.SCENES[view.scene] if said else "") if part)


def _said(text: str, phrases: dict[str, str], *, otherwise: str) -> str:
    return next((key for key, phrase in phrases.items() if phrase and re.search(rf"\b{phrase}\b", text)), otherwise)


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
