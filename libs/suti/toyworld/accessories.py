"""What a subject may wear or hold. Accessories look the same on everybody, so that only the subject tells who it is."""

import torch

from suti.toyworld.canvas import INK, Canvas
from suti.toyworld.figure import Places
from suti.toyworld.shapes import box, disc, ellipse, polygon, stroke, union

_VIOLET = (0.33, 0.20, 0.50)
_GOLD = (1.0, 0.80, 0.20)
_RED = (0.90, 0.15, 0.20)
_CREAM = (0.99, 0.95, 0.85)
_ROSE = (1.0, 0.45, 0.65)
_LEAF = (0.20, 0.60, 0.25)


def paint_accessory(canvas: Canvas, accessory: str, places: Places) -> None:
    """Draw one accessory on every picture of the canvas."""
    match accessory:
        case "hat":
            _hat(canvas, places)
        case "crown":
            _crown(canvas, places)
        case "scarf":
            _scarf(canvas, places)
        case "sunglasses":
            _sunglasses(canvas, places)
        case "balloon":
            _balloon(canvas)
        case "flower":
            _flower(canvas)
        case _:
            pass


def _hat(canvas: Canvas, places: Places) -> None:
    x, y = canvas.x - places.top[0], canvas.y - places.top[1]
    canvas.paint(union(box(x, y - 0.02, 0.56, 0.09, 0.08), box(x, y + 0.28, 0.34, 0.32, 0.05)), _VIOLET)
    canvas.paint(box(x, y + 0.13, 0.34, 0.08), _RED, outlined=False)


def _crown(canvas: Canvas, places: Places) -> None:
    x, y = canvas.x - places.top[0], canvas.y - places.top[1]
    points = [polygon(x - at, y, ((-0.2, 0.05), (0.2, 0.05), (at * 0.3, -0.42))) for at in (-0.3, 0.0, 0.3)]
    canvas.paint(union(box(x, y - 0.02, 0.46, 0.14, 0.03), *points), _GOLD)
    canvas.paint(disc(x, y, 0.09), _RED, outlined=False)


def _scarf(canvas: Canvas, places: Places) -> None:
    x, y = canvas.x - places.neck[0], canvas.y - places.neck[1]
    tail = box(x - places.neck_half * 0.55, y - 0.22, 0.13, 0.24, 0.04)
    canvas.paint(tail, _RED)
    canvas.paint(box(x, y, places.neck_half + 0.04, 0.12, 0.11), _RED)
    period = 0.3
    stripes = torch.maximum((x - period * torch.round(x / period)).abs() - 0.06, y.abs() - 0.12)
    canvas.paint(torch.maximum(stripes, x.abs() - places.neck_half), _CREAM, outlined=False)


def _sunglasses(canvas: Canvas, places: Places) -> None:
    x, y, half = canvas.x - places.face[0], canvas.y - places.face[1], max(places.face_half, 0.24)
    canvas.paint(union(box(x.abs() - half, y, 0.22, 0.17, 0.1), box(x, y + 0.06, half, 0.05)), INK, shaded=False)
    canvas.paint(box(x.abs() - half, y - 0.03, 0.15, 0.09, 0.06), (0.95, 0.42, 0.25), outlined=False, shaded=False)


def _balloon(canvas: Canvas) -> None:
    x, y = canvas.x, canvas.y
    canvas.paint(stroke(x, y, (0.62, 0.3), (0.95, -0.4), 0.03), INK, outlined=False)
    canvas.paint(ellipse(x - 0.98, y + 0.72, 0.3, 0.36), _RED)
    canvas.paint(ellipse(x - 0.88, y + 0.84, 0.07, 0.1), _CREAM, outlined=False)


def _flower(canvas: Canvas) -> None:
    x, y = canvas.x + 0.9, canvas.y - 0.1
    canvas.paint(stroke(x, y, (0.2, 0.5), (0, 0), 0.05), _LEAF)
    petals = [
        disc(x - dx, y - dy, 0.15) for dx, dy in ((0, -0.2), (0.19, -0.06), (0.12, 0.16), (-0.12, 0.16), (-0.19, -0.06))
    ]
    canvas.paint(union(*petals), _ROSE)
    canvas.paint(disc(x, y, 0.12), _GOLD, outlined=False)
