"""Distances worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from suti.toyworld import shapes


def at(x: float, y: float) -> tuple[Tensor, Tensor]:
    return torch.full((1, 1, 1), float(x)), torch.full((1, 1, 1), float(y))


def test_a_disc_is_as_far_as_its_middle_less_its_radius() -> None:
    assert shapes.disc(*at(3, 4), 2.0).item() == pytest.approx(3.0)
    assert shapes.disc(*at(0, 0), 2.0).item() == pytest.approx(-2.0)


def test_an_ellipse_is_exact_on_its_edge_and_signed() -> None:
    assert shapes.ellipse(*at(2, 0), 2.0, 1.0).item() == pytest.approx(0.0, abs=1e-5)
    assert shapes.ellipse(*at(0, -1), 2.0, 1.0).item() == pytest.approx(0.0, abs=1e-5)
    assert shapes.ellipse(*at(0, 0.5), 2.0, 1.0).item() < 0 < shapes.ellipse(*at(2.1, 0), 2.0, 1.0).item()


def test_a_box_is_exact_at_sides_and_corners() -> None:
    assert shapes.box(*at(3, 0), 1.0, 2.0).item() == pytest.approx(2.0)
    assert shapes.box(*at(4, 6), 1.0, 2.0).item() == pytest.approx(5.0)
    assert shapes.box(*at(0, 0), 1.0, 2.0).item() == pytest.approx(-1.0)
    assert shapes.box(*at(1, 1), 1.0, 1.0, 1.0).item() == pytest.approx(math.sqrt(2) - 1)


def test_a_stroke_has_round_ends() -> None:
    assert shapes.stroke(*at(0, 3), (-1, 0), (1, 0), 0.5).item() == pytest.approx(2.5)
    assert shapes.stroke(*at(4, 4), (-1, 0), (1, 0), 0.5).item() == pytest.approx(4.5)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_polygon_is_exact_outside_and_inside_in_either_direction(turn: int) -> None:
    corners = ((0.0, 0.0), (4.0, 0.0), (4.0, 3.0))[::turn]
    assert shapes.polygon(*at(7, 7), corners).item() == pytest.approx(5.0)
    assert shapes.polygon(*at(2, -1), corners).item() == pytest.approx(1.0)
    assert shapes.polygon(*at(3, 0.5), corners).item() == pytest.approx(-0.5)


def test_a_turned_frame_turns_clockwise_on_a_screen() -> None:
    x, y = shapes.turned(*at(0, 1), math.pi / 2)
    assert (x.item(), y.item()) == pytest.approx((1.0, 0.0), abs=1e-6)
