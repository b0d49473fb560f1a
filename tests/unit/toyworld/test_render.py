from dataclasses import replace
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from suti.core.records import Skill
from suti.toyworld import words
from suti.toyworld.render import render, render_layers
from suti.toyworld.scenes import scene
from suti.toyworld.subjects import Subject, draw_subject
from suti.toyworld.views import View, draw_view


def some(count: int) -> tuple[list[Subject], list[View]]:
    skills = (None, *Skill)
    return [draw_subject(n) for n in range(count)], [draw_view(n, skill=skills[n % 5]) for n in range(count)]


def apart(one: Tensor, other: Tensor) -> float:
    """Mean absolute difference in levels of 255."""
    return (one.float() - other.float()).abs().mean().item()


@pytest.mark.parametrize("size_px", [24, 32, 100])
def test_pictures_have_any_size_that_is_asked_for(size_px: int) -> None:
    pictures = render(*some(9), size_px=size_px)
    assert pictures.shape == (9, 3, size_px, size_px)
    assert pictures.dtype == torch.uint8


def test_nothing_to_draw_is_an_empty_batch() -> None:
    assert render([], []).shape == (0, 3, 32, 32)


def test_each_subject_needs_its_view() -> None:
    with pytest.raises(ValueError, match="2 subjects, but 1 views"):
        render([draw_subject(0)] * 2, [View()])


def test_the_same_arguments_give_the_same_pixels() -> None:
    assert torch.equal(render(*some(40)), render(*some(40)))


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    subjects, views = some(40)
    together = render(subjects, views)
    alone = torch.cat([render([subject], [view]) for subject, view in zip(subjects, views, strict=True)])
    # Vectorised and single arithmetic may round differently by one level.
    assert (together.int() - alone.int()).abs().max() <= 1


def test_edges_are_smooth_so_that_a_large_picture_shrinks_to_the_small_one() -> None:
    subjects = [draw_subject(n) for n in range(16)]
    views = [draw_view(n) for n in range(16)]
    large = F.avg_pool2d(render(subjects, views, size_px=128).float(), 4)
    assert apart(large, render(subjects, views)) < 6


def test_a_mirrored_view_is_the_mirror_image() -> None:
    subject = draw_subject(2, kind="teapot")
    view = View(x=0.5, scene="studio")
    flipped = render([subject], [replace(view, flip=True)])
    assert apart(flipped.flip(-1), render([subject], [view])) < 0.5


def test_a_subject_stands_where_the_view_says() -> None:
    subject = draw_subject(4, kind="backpack")
    for x in (0.3, 0.7):
        picture = render([subject], [View(x=x, size=0.5, scene="studio")])[0].float()
        columns = (picture - scene("studio", 32) * 255).abs().sum(dim=(0, 1))
        middle = (columns * (torch.arange(32) + 0.5)).sum() / columns.sum() / 32
        assert middle.item() == pytest.approx(x, abs=0.04)


@pytest.mark.parametrize("field", ["scene", "style", "accessory", "attribute"])
def test_all_that_a_prompt_may_ask_for_can_be_told_apart(field: str) -> None:
    values = {"scene": words.SCENES, "style": words.STYLES, "accessory": words.ACCESSORIES}.get(field, words.ATTRIBUTES)
    subject = replace(draw_subject(7), colour_body="red", colour_second="blue")
    wanted = [value for value in values if value != "red"]
    pictures = render([subject] * len(wanted), [replace(View(scene="beach"), **{field: value}) for value in wanted])
    for one, other in combinations(pictures, 2):
        assert apart(one, other) > 1.0


def test_a_repainted_body_keeps_three_different_colours() -> None:
    subject = replace(draw_subject(7, kind="robot"), colour_body="red", colour_second="blue", pattern="side")
    blue = render([subject], [View(attribute="blue")])
    swapped = replace(subject, colour_body="blue", colour_second="red")
    assert torch.equal(blue, render([swapped], [View()]))


def test_a_photo_is_its_layers_over_its_scene() -> None:
    subjects, views = [draw_subject(n) for n in range(12)], [draw_view(n) for n in range(12)]
    added, passed = render_layers(subjects, views, size_px=32)
    scenes = torch.stack([scene(view.scene, 32) for view in views])
    assert ((added + passed * scenes) * 255 - render(subjects, views).float()).abs().max() < 0.51
