"""The judge of what was asked for: what it says of the asked view, of a view without it, and of strangers."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.core.records import Skill
from suti.toyworld.oracle.lineup import Lineup
from suti.toyworld.oracle.other_views import other_views
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of
from suti.toyworld.subjects import Subject, distractors
from suti.toyworld.views import View, draw_view, posed

ASKED = [
    View(scene="beach"),
    View(accessory="hat"),
    View(accessory="balloon", scene="snow"),
    View(attribute="green"),
    View(style="pop"),
]


def renders(subject: Subject, view: View) -> Tensor:
    """In poses that lie on no grid."""
    return render([subject] * 6, [posed(view, draw_view(number)) for number in range(6)])


@cache
def lineup_of(number: int) -> Lineup:
    subject = subject_of(Namespace.EVALUATION, number)
    return Lineup(subject, distractors(subject, number, 15))


def following(pictures_NCHW: Tensor, view: View) -> int:
    """How many follow the prompt that asks for the view."""
    return sum(one.follows_prompt for one in lineup_of(1).answers(pictures_NCHW, view))


@pytest.mark.parametrize("view", ASKED, ids=str)
def test_the_subject_as_asked_follows_its_prompt_and_the_subject_as_it_is_does_not(view: View) -> None:
    subject = lineup_of(1).subjects[0]

    assert following(renders(subject, view), view) >= 5
    assert following(renders(subject, View()), view) <= 1


@pytest.mark.parametrize("view", ASKED[:2], ids=str)
def test_a_stranger_as_asked_follows_the_prompt_and_one_that_is_not_does_not(view: View) -> None:
    stranger = subject_of(Namespace.EVALUATION, 1_000_000, kind=lineup_of(1).subjects[0].kind)

    assert following(renders(stranger, view), view) >= 5
    assert following(renders(stranger, View()), view) <= 1


def test_another_thing_of_the_asked_sort_is_not_what_was_asked() -> None:
    asked = View(accessory="hat")

    assert following(renders(lineup_of(1).subjects[0], replace(asked, accessory="crown")), asked) == 0


def test_who_asks_for_nothing_gets_it() -> None:
    noise = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    assert following(noise, View()) == 4


def test_overall_is_the_subject_and_nobody_else_as_asked() -> None:
    lineup, asked = lineup_of(1), View(accessory="hat")
    subject, other = lineup.subjects[:2]

    right, bare, stranger = (
        lineup.answers(renders(who, view), asked) for who, view in ((subject, asked), (subject, View()), (other, asked))
    )

    assert sum(one.overall for one in right) >= 5
    assert sum(one.identified for one in bare) >= 5  # the hat is left out, and nobody else is nearer
    assert not any(one.overall for one in (*bare, *stranger))
    assert [one.identified for one in right] == lineup.identified(renders(subject, asked), asked)


def test_the_other_views_differ_in_one_asked_thing() -> None:
    lamp = replace(subject_of(Namespace.EVALUATION, 4), colour_body="orange")
    asked = View(scene="beach", accessory="hat")

    others = list(other_views(lamp, asked))

    assert len(others) == 11 + 6  # places, and things worn or nothing
    assert all((one.scene == "beach") != (one.accessory == "hat") for one in others)
    assert len(list(other_views(lamp, View(attribute="green")))) == 12  # eleven colours, or as it is
    assert len(list(other_views(lamp, View(attribute="orange")))) == 11  # as it is would be orange
    assert len(list(other_views(lamp, draw_view(0, skill=Skill.STYLE)))) >= 6


def test_pictures_of_another_shape_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="pictures"):
        lineup_of(1).answers(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), View())
