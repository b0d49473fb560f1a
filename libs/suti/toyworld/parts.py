"""Parts that any kind may have: something on top, something at the sides, eyes."""

import torch

from suti.toyworld.canvas import INK, Canvas
from suti.toyworld.figure import Figure, Places
from suti.toyworld.shapes import box, disc, ellipse, polygon, stroke, turned, union

_WHITE = (0.98, 0.98, 0.98)
_GLOW = (0.45, 0.95, 1.0)


def paint_sides(figure: Figure, places: Places) -> None:
    """Arms that wave, or wings: behind the body."""
    right, height = places.shoulder
    for side in ("arms", "wings"):
        chosen = [subject.side == side for subject in figure.subjects]
        with figure.canvas.only(chosen) as canvas:
            if canvas is None:
                continue
            x, y = canvas.x.abs() - right, canvas.y - height
            rows = torch.tensor(chosen)
            if side == "arms":
                arm = union(stroke(x, y, (0, 0), (0.42, -0.3), 0.1), disc(x - 0.46, y + 0.36, 0.16))
                canvas.paint(arm, figure.accent_N3[rows])
            else:
                u, v = turned(x - 0.3, y + 0.24, -0.75)
                canvas.paint(ellipse(u, v, 0.5, 0.24), figure.second_N3[rows])


def paint_top(figure: Figure, places: Places) -> None:
    """What grows from the head: behind the body."""
    for top in ("antenna", "horns", "ears", "mohawk", "bow"):
        chosen = [subject.top == top for subject in figure.subjects]
        with figure.canvas.only(chosen) as canvas:
            if canvas is not None:
                _paint_one_top(canvas, top, places, figure.accent_N3[torch.tensor(chosen)])


def _paint_one_top(canvas: Canvas, top: str, places: Places, accent_N3: torch.Tensor) -> None:
    x, y, half = canvas.x - places.top[0], canvas.y - places.top[1], places.top_half
    match top:
        case "antenna":
            canvas.paint(stroke(x, y, (0, 0.1), (0, -0.36), 0.05), INK, outlined=False)
            canvas.paint(disc(x, y + 0.4, 0.19), accent_N3)
        case "horns":
            w = half
            canvas.paint(polygon(x.abs(), y, ((w - 0.2, 0.15), (w + 0.14, 0.3), (w + 0.2, -0.4))), accent_N3)
        case "ears":
            canvas.paint(disc(x.abs() - half - 0.04, y + 0.06, 0.26), accent_N3)
        case "mohawk":
            spikes = [
                polygon(x - at, y, ((-0.17, 0.25), (0.17, 0.25), (0.0, -high)))
                for at, high in ((-0.26, 0.36), (0.0, 0.54), (0.26, 0.36))
            ]
            canvas.paint(union(*spikes), accent_N3)
        case _:
            wings = polygon(x.abs(), y + 0.12, ((0.0, 0.0), (0.46, -0.26), (0.46, 0.24)))
            canvas.paint(union(wings, disc(x, y + 0.12, 0.12)), accent_N3)


def paint_eyes(figure: Figure, places: Places) -> None:
    """Eyes on the face: before everything but accessories."""
    for eyes in ("dots", "round", "one", "visor"):
        with figure.canvas.only([subject.eyes == eyes for subject in figure.subjects]) as canvas:
            if canvas is not None:
                _paint_one_face(canvas, eyes, places)


def _paint_one_face(canvas: Canvas, eyes: str, places: Places) -> None:
    x, y, half = canvas.x - places.face[0], canvas.y - places.face[1], places.face_half
    match eyes:
        case "dots":
            canvas.paint(disc(x.abs() - half, y, 0.1), INK, outlined=False, shaded=False)
            canvas.paint(disc(x.abs() - half, y, 0.13).abs() - 0.03, _WHITE, outlined=False, shaded=False)
        case "round":
            canvas.paint(disc(x.abs() - half * 0.85, y, 0.2), _WHITE, shaded=False)
            canvas.paint(disc(x.abs() - half * 0.7, y - 0.02, 0.1), INK, outlined=False, shaded=False)
        case "one":
            canvas.paint(disc(x, y, 0.27), _WHITE, shaded=False)
            canvas.paint(disc(x - 0.03, y, 0.13), INK, outlined=False, shaded=False)
        case _:
            canvas.paint(box(x, y, half + 0.2, 0.15, 0.13), INK, shaded=False)
            canvas.paint(box(x.abs() - half * 0.75, y, 0.1, 0.06, 0.05), _GLOW, outlined=False, shaded=False)
