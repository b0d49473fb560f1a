import random
from dataclasses import replace

import pytest
import torch

from suti.core.errors import InvalidArgument
from suti.toyworld import words
from suti.toyworld.render import render
from suti.toyworld.subjects import (
    TRAITS,
    Subject,
    choices,
    differing_traits,
    distractors,
    draw_subject,
    is_apart,
)
from suti.toyworld.views import View


def changed(subject: Subject, trait: str, choose: random.Random) -> Subject:
    taken = {subject.colour_body, subject.colour_second, subject.colour_accent, getattr(subject, trait)}
    return replace(subject, **{trait: choose.choice([v for v in choices(subject.kind, trait) if v not in taken])})


def test_the_same_seed_draws_the_same_subject() -> None:
    assert draw_subject(5) == draw_subject(5)
    assert len({draw_subject(seed) for seed in range(500)}) == 500


def test_a_subject_is_of_the_kind_that_was_asked_for() -> None:
    assert {draw_subject(seed, kind="fish").kind for seed in range(20)} == {"fish"}
    with pytest.raises(InvalidArgument, match="robot"):
        draw_subject(0, kind="dragon")


def test_the_three_colours_of_a_subject_differ() -> None:
    for seed in range(300):
        subject = draw_subject(seed)
        assert len({subject.colour_body, subject.colour_second, subject.colour_accent}) == 3


def test_distractors_differ_in_two_traits_one_of_them_no_colour() -> None:
    for seed in range(10):
        subject = draw_subject(seed)
        lineup = [subject, *distractors(subject, seed, 15)]
        assert len(lineup) == 16
        assert {other.kind for other in lineup} == {subject.kind}
        for index, one in enumerate(lineup):
            for other in lineup[:index]:
                differing = differing_traits(one, other)
                assert len(differing) >= 2
                assert not all(trait.startswith("colour_") for trait in differing)


def test_half_of_the_distractors_look_alike() -> None:
    subject = draw_subject(3)
    assert sum(len(differing_traits(subject, other)) <= 3 for other in distractors(subject, 0, 15)) >= 7


def test_colours_alone_do_not_set_subjects_apart() -> None:
    subject = replace(draw_subject(1), colour_body="red", colour_second="blue", colour_accent="green")
    assert not is_apart(subject, replace(subject, colour_body="pink", colour_second="gray"))
    assert not is_apart(subject, replace(subject, aspect="slim" if subject.aspect != "slim" else "chubby"))


@pytest.mark.parametrize("trait", TRAITS)
def test_each_single_trait_shows_when_a_subject_fills_half_of_a_small_picture(trait: str) -> None:
    choose = random.Random(trait)
    subjects = [draw_subject(seed) for seed in range(400)]
    others = [changed(subject, trait, choose) for subject in subjects]
    views = [View(size=0.5)] * len(subjects)
    difference_NCHW = (render(subjects, views).float() - render(others, views).float()).abs()
    changed_pixels_N = (difference_NCHW.amax(dim=1) > 40).flatten(1).sum(dim=1).float()
    # Pixels of 1024 that plainly change: typically two dozen, and for nearly all pairs at least a 3 x 3 patch.
    assert changed_pixels_N.median() >= 20
    assert torch.quantile(changed_pixels_N, 0.05) >= 9


def test_every_value_of_every_trait_is_drawn() -> None:
    drawn = [draw_subject(seed) for seed in range(2_000)]
    assert {subject.kind for subject in drawn} == set(words.KINDS)
    for trait in TRAITS:
        for kind in words.KINDS:
            assert {getattr(s, trait) for s in drawn if s.kind == kind} == set(choices(kind, trait))
