"""The judge of identity: what it says of true renders, of others, and of exact copies."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.core.records import Skill
from suti.toyworld.oracle.layers import SIZES, TILTS
from suti.toyworld.oracle.lineup import Lineup
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of
from suti.toyworld.subjects import Subject, distractors, draw_subject
from suti.toyworld.views import View, draw_view


def posed(view: View, count: int, seed: int) -> list[View]:
    """The same scene, style and so on, in poses that lie on no grid."""
    poses = [draw_view(seed * 1_000 + index) for index in range(count)]
    look = {name: getattr(view, name) for name in ("scene", "style", "accessory", "attribute")}
    return [replace(pose, **look) for pose in poses]


def lineup_of(number: int) -> tuple[Subject, list[Subject]]:
    subject = subject_of(Namespace.EVALUATION, number)
    return subject, distractors(subject, number, 15)


def test_true_renders_in_free_poses_are_identified_and_drawings_of_others_are_not() -> None:
    true: list[bool] = []
    other: list[bool] = []
    for number, skill in enumerate([Skill.RECONTEXTUALISATION, Skill.ACCESSORY, Skill.ATTRIBUTE]):
        subject, others = lineup_of(number)
        view = draw_view(number, skill=skill)
        views = posed(view, 8, number)
        lineup = Lineup(subject, others)
        true += lineup.identified(render([subject] * 8, views), view)
        strangers = [draw_subject(5_000 + number * 8 + index, kind=subject.kind) for index in range(8)]
        other += lineup.identified(render(strangers, views), view)

    assert sum(true) / len(true) > 0.95
    assert sum(other) / len(other) < 3 / 16  # one in sixteen by chance


def test_noise_is_nobody() -> None:
    subject, others = lineup_of(9)
    noise = torch.randint(0, 256, (16, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert sum(Lineup(subject, others).identified(noise, View(scene="beach"))) <= 4


def test_styled_renders_are_identified_in_their_style() -> None:
    subject, others = lineup_of(3)
    view = View(style="pop", scene="meadow")
    assert sum(Lineup(subject, others).identified(render([subject] * 8, posed(view, 8, 1)), view)) >= 7


def test_the_error_of_an_exact_render_on_the_grid_is_none() -> None:
    subject, others = lineup_of(1)
    lineup = Lineup(subject, others[:2])
    view = View(x=0.5 + 3 / 32, y=0.5 - 2 / 32, size=SIZES[1], angle=TILTS[2], flip=True, scene="forest")
    errors_NS = lineup.errors(render([subject], [view]), view)
    assert errors_NS[0, 0].item() == pytest.approx(0, abs=1e-5)  # rounding to 255 levels: at most (0.5 / 255)²
    assert (errors_NS[0, 1:] > 1e-4).all()


def test_errors_are_the_mean_squares_that_plain_rendering_gives() -> None:
    subject, others = lineup_of(2)
    view = View(scene="city", accessory="scarf")
    picture = render([draw_subject(77, kind=subject.kind)], [replace(view, x=0.45, size=0.6)])

    found = Lineup(subject, others[:1]).errors(picture, view)[0, 1].item()

    assert found == pytest.approx(brute_force(picture, others[0], view), rel=2e-3)


def brute_force(picture: Tensor, subject: Subject, view: View) -> float:
    """The least mean square over the documented grid, every render made as any picture is."""
    views = [
        replace(view, x=0.5 + across / 32, y=0.5 + down / 32, size=size, angle=tilt, flip=flip)
        for size in SIZES
        for tilt in TILTS
        for flip in (False, True)
        for across in range(-8, 9)
        for down in range(-8, 9)
    ]
    renders = render([subject] * len(views), views).float() / 255
    return (renders - picture.float() / 255).square().mean(dim=(1, 2, 3)).min().item()


def test_a_tie_is_wrong() -> None:
    subject, others = lineup_of(4)
    picture = render([subject], [View()])
    assert Lineup(subject, others).identified(picture, View()) == [True]
    assert Lineup(subject, [*others, subject]).identified(picture, View()) == [False]


def test_larger_pictures_are_averaged_down_first() -> None:
    subject, others = lineup_of(5)
    view = View(scene="desert")
    assert sum(Lineup(subject, others).identified(render([subject] * 4, posed(view, 4, 2), size_px=64), view)) >= 3


def test_impossible_questions_are_refused() -> None:
    subject, others = lineup_of(6)
    with pytest.raises(InvalidArgument, match="distractors"):
        Lineup(subject, [])
    with pytest.raises(InvalidArgument, match="pictures"):
        Lineup(subject, others).identified(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), View())
