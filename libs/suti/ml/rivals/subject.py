"""A subject as every rival is given it: a few pictures, their texts, and the word for its class.

Legend: K demonstrations, C channels, H height, W width.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from suti.core.errors import InvalidArgument


@dataclass(frozen=True)
class GivenSubject:
    """What there is of a subject. Shapes: (K, 3, H, W) in [-1, 1] with K texts, each of which names the class.

    Raises:
        InvalidArgument: no pictures, or not one text for each.
    """

    pictures_KCHW: Tensor
    texts: Sequence[str]
    kind: str  # "fish": the class word

    def __post_init__(self) -> None:
        pictures = len(self.pictures_KCHW)
        if pictures == 0 or pictures != len(self.texts):
            raise InvalidArgument("texts", f"{len(self.texts)} for {pictures} pictures: give each picture its text")


def with_identifier(texts: Sequence[str], kind: str, identifier: str) -> list[str]:
    """DreamBooth's way to name a subject: the identifier before the class word, "a photo of a sks fish".

    Raises:
        InvalidArgument: a text does not name the class.
    """
    return _replaced(texts, kind, f"{identifier} {kind}") if identifier else list(texts)


def with_placeholder(texts: Sequence[str], kind: str, placeholder: str) -> list[str]:
    """Textual Inversion's way: the placeholder in place of the class word, "a photo of a S* in space".

    Raises:
        InvalidArgument: a text does not name the class.
    """
    return _replaced(texts, kind, placeholder)


def _replaced(texts: Sequence[str], kind: str, name: str) -> list[str]:
    word = re.compile(rf"\b{re.escape(kind)}\b")
    for text in texts:
        if not word.search(text):
            raise InvalidArgument("texts", f"{text!r} names no {kind!r}: say the class word in texts and prompts")
    return [word.sub(lambda _: name, text) for text in texts]
