"""What a prompt did not ask for: the views that a picture is set against to see whether it follows its prompt."""

from collections.abc import Iterator
from dataclasses import replace

from suti.toyworld import words
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View


def other_views(subject: Subject, view: View) -> Iterator[View]:
    """Every view that differs from the asked one in one thing that was asked for, and can be told from it."""
    if view.scene != words.PLAIN_SCENE:
        yield from (replace(view, scene=name) for name in words.SCENES if name != view.scene)
    if view.style != "photo":
        yield from (replace(view, style=name) for name in words.STYLES if name != view.style)
    if view.accessory != "none":
        yield from (replace(view, accessory=name) for name in words.ACCESSORIES if name != view.accessory)
    if view.attribute != "none":
        # A red subject repainted red is the subject as it is.
        same = {view.attribute} | ({"none"} if view.attribute == subject.colour_body else set())
        yield from (replace(view, attribute=name) for name in words.ATTRIBUTES if name not in same)
