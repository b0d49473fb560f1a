"""How each kind is drawn: a function per kind, from back to front.

Frame: [-1, 1] each way around the subject's middle, y downwards, the subject looking to the right where it looks
anywhere. `behind` draws what hangs behind the body, `before` the rest; sides and tops come between (see render.py).
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from suti.toyworld.canvas import INK
from suti.toyworld.figure import Figure, Places
from suti.toyworld.shapes import box, disc, ellipse, polygon, stroke, turned, union

_GLASS = (0.80, 0.92, 0.98)


class Kind(NamedTuple):
    """Where a kind wears things and how it is drawn."""

    places: Places
    behind: Callable[[Figure], None]
    before: Callable[[Figure], None]


def _robot_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(box(x.abs() - 0.26, y - 0.88, 0.19, 0.12, 0.06), figure.accent_N3)
    canvas.paint(box(x.abs() - 0.66, y + 0.2, 0.14, 0.16, 0.04), figure.accent_N3)
    canvas.paint(box(x, y - 0.5, 0.42, 0.34, 0.1), figure.second_N3)
    canvas.paint(disc(x, y - 0.55, 0.13), figure.accent_N3)


def _robot_before(figure: Figure) -> None:
    figure.canvas.paint(figure.blob((0, -0.2), 0.66, 0.46), figure.patterned((0, -0.2)))


def _cat_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(
        union(stroke(x, y, (0.3, 0.75), (0.72, 0.62), 0.11), stroke(x, y, (0.72, 0.62), (0.8, 0.25), 0.11)),
        figure.second_N3,
    )
    ears = polygon(x.abs(), y, ((0.18, -0.5), (0.62, -0.3), (0.6, -0.95)))
    canvas.paint(ears, figure.body_N3)
    canvas.paint(polygon(x.abs(), y, ((0.33, -0.52), (0.54, -0.42), (0.54, -0.76))), figure.accent_N3, outlined=False)
    canvas.paint(ellipse(x, y - 0.58, 0.44, 0.4), figure.body_N3)
    canvas.paint(ellipse(x.abs() - 0.24, y - 0.9, 0.19, 0.11), figure.accent_N3)


def _cat_before(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(figure.blob((0, -0.16), 0.64, 0.46), figure.patterned((0, -0.16)))
    canvas.paint(ellipse(x, y - 0.1, 0.25, 0.15), figure.second_N3, outlined=False)
    canvas.paint(ellipse(x, y - 0.03, 0.1, 0.07), INK, outlined=False, shaded=False)


def _fish_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(
        union(
            polygon(x, y, ((-0.35, 0.0), (-0.98, -0.55), (-0.82, 0.05))),
            polygon(x, y, ((-0.35, 0.0), (-0.98, 0.6), (-0.82, 0.0))),
        ),
        figure.second_N3,
    )
    canvas.paint(polygon(x, y, ((-0.3, 0.2), (-0.46, 0.92), (0.36, 0.4))), figure.accent_N3)
    canvas.paint(disc(x - 0.8, y - 0.18, 0.18), figure.accent_N3)


def _fish_before(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(figure.blob((0.12, 0.02), 0.7, 0.54), figure.patterned((0.12, 0.02)))
    u, v = turned(x + 0.12, y - 0.2, 0.5)
    canvas.paint(ellipse(u, v, 0.28, 0.17), figure.accent_N3)


def _bird_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(polygon(x, y, ((-0.3, 0.2), (-0.95, -0.02), (-0.85, 0.42), (-0.3, 0.55))), figure.second_N3)
    canvas.paint(
        union(
            stroke(x.abs(), y, (0.2, 0.6), (0.2, 0.9), 0.05),
            ellipse(x.abs() - 0.26, y - 0.9, 0.2, 0.1),
        ),
        figure.accent_N3,
    )


def _bird_before(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(polygon(x, y, ((0.3, -0.38), (1.0, -0.02), (0.3, 0.24))), figure.accent_N3)
    canvas.paint(figure.blob((0, 0.1), 0.6, 0.64), figure.patterned((0, 0.1)))
    u, v = turned(x + 0.26, y - 0.32, -0.4)
    canvas.paint(ellipse(u, v, 0.34, 0.2), figure.second_N3)


def _car_behind(figure: Figure) -> None:
    canvas = figure.canvas
    canvas.paint(figure.blob((-0.05, -0.22), 0.62, 0.42), figure.second_N3)
    canvas.paint(box(canvas.x + 0.05, canvas.y + 0.22, 0.44, 0.24, 0.1), _GLASS, outlined=False)


def _car_before(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(box(x.abs() - 0.88, y - 0.48, 0.14, 0.1, 0.05), figure.accent_N3)
    canvas.paint(figure.blob((0, 0.36), 0.92, 0.36), figure.patterned((0, 0.3)))
    canvas.paint(disc(x.abs() - 0.5, y - 0.7, 0.26), INK, shaded=False)
    canvas.paint(disc(x.abs() - 0.5, y - 0.7, 0.15), figure.accent_N3, outlined=False)


def _teapot_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(disc(x + 0.66, y - 0.2, 0.25).abs() - 0.09, figure.second_N3)
    canvas.paint(
        union(stroke(x, y, (0.4, 0.42), (0.76, 0.2), 0.15), stroke(x, y, (0.76, 0.2), (0.9, -0.2), 0.11)),
        figure.second_N3,
    )
    canvas.paint(disc(x, y + 0.6, 0.14), figure.accent_N3)
    canvas.paint(box(x, y - 0.86, 0.36, 0.1, 0.05), figure.accent_N3)


def _teapot_before(figure: Figure) -> None:
    canvas = figure.canvas
    canvas.paint(figure.blob((0, 0.24), 0.62, 0.58), figure.patterned((0, 0.24)))
    canvas.paint(ellipse(canvas.x, canvas.y + 0.34, 0.42, 0.15), figure.accent_N3)


def _lamp_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(box(x, y - 0.5, 0.11, 0.42, 0.04), figure.second_N3)
    canvas.paint(box(x, y - 0.88, 0.46, 0.12, 0.09), figure.accent_N3)


def _lamp_before(figure: Figure) -> None:
    canvas = figure.canvas
    canvas.paint(figure.blob((0, -0.2), 0.68, 0.46), figure.patterned((0, -0.24)))
    canvas.paint(box(canvas.x, canvas.y - 0.26, 0.56, 0.09, 0.05), figure.second_N3)


def _backpack_behind(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(disc(x, y + 0.68, 0.2).abs() - 0.07, figure.second_N3)
    canvas.paint(stroke(x.abs(), y, (0.5, -0.3), (0.72, 0.62), 0.14), figure.accent_N3)


def _backpack_before(figure: Figure) -> None:
    canvas = figure.canvas
    x, y = canvas.x, canvas.y
    canvas.paint(figure.blob((0, 0.12), 0.6, 0.78), figure.patterned((0, 0.0)))
    canvas.paint(box(x, y - 0.56, 0.4, 0.24, 0.12), figure.second_N3)
    canvas.paint(box(x, y - 0.44, 0.16, 0.06, 0.03), figure.accent_N3, outlined=False)


KINDS: Final[dict[str, Kind]] = {
    "robot": Kind(
        Places((0, -0.64), 0.4, (0, -0.24), 0.27, (0, 0.3), 0.46, (0.36, 0.42)), _robot_behind, _robot_before
    ),
    "cat": Kind(Places((0, -0.6), 0.4, (0, -0.2), 0.28, (0, 0.34), 0.44, (0.34, 0.5)), _cat_behind, _cat_before),
    "fish": Kind(
        Places((0.12, -0.5), 0.32, (0.38, -0.12), 0.2, (-0.02, 0.5), 0.42, (0.42, 0.34)), _fish_behind, _fish_before
    ),
    "bird": Kind(
        Places((0, -0.52), 0.34, (0.1, -0.16), 0.24, (0, 0.34), 0.56, (0.44, 0.12)), _bird_behind, _bird_before
    ),
    "car": Kind(
        Places((-0.05, -0.62), 0.38, (-0.05, -0.22), 0.24, (0, 0.26), 0.9, (0.6, 0.12)), _car_behind, _car_before
    ),
    "teapot": Kind(
        Places((0, -0.46), 0.36, (0, 0.08), 0.27, (0, 0.52), 0.56, (0.46, 0.1)), _teapot_behind, _teapot_before
    ),
    "lamp": Kind(Places((0, -0.64), 0.4, (0, -0.24), 0.27, (0, 0.42), 0.34, (0.52, 0.0)), _lamp_behind, _lamp_before),
    "backpack": Kind(
        Places((0, -0.62), 0.34, (0, -0.18), 0.27, (0, 0.2), 0.58, (0.5, 0.1)), _backpack_behind, _backpack_before
    ),
}
