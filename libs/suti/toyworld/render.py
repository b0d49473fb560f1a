"""Drawing subjects in views: many at once, the same pixels for the same arguments.

Legend: N pictures, C channels (red, green, blue), H height, W width.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from suti.toyworld.accessories import paint_accessory
from suti.toyworld.canvas import Canvas
from suti.toyworld.figure import Figure
from suti.toyworld.kinds import KINDS
from suti.toyworld.parts import paint_eyes, paint_sides, paint_top
from suti.toyworld.scenes import FLOATING, scene
from suti.toyworld.shapes import ellipse
from suti.toyworld.styles import styled
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View
from suti.toyworld.words import ACCESSORIES, COLOURS

_PIXELS_AT_ONCE = 96 * 1024  # what fits a core's cache
_ASPECTS = {"slim": (0.74, 1.04), "regular": (0.96, 0.96), "chubby": (1.14, 0.80)}


def render(subjects: Sequence[Subject], views: Sequence[View], *, size_px: int = 32) -> Tensor:
    """Each subject in the view of the same place. Shape: (N, 3, size_px, size_px), uint8."""
    if len(subjects) != len(views):
        raise ValueError(f"{len(subjects)} subjects, but {len(views)} views")
    pixels_NCHW = torch.empty(len(subjects), 3, size_px, size_px, dtype=torch.uint8)
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (subject, view) in enumerate(zip(subjects, views, strict=True)):
        groups[subject.kind, view.style].append(row)
    at_once = max(1, _PIXELS_AT_ONCE // size_px**2)
    for (kind, style), rows in groups.items():
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            backgrounds = torch.stack([scene(views[row].scene, size_px) for row in some])
            photos = _photos(kind, [subjects[row] for row in some], [views[row] for row in some], backgrounds)
            pixels_NCHW[some] = styled(photos, style).mul(255).round_().to(torch.uint8)
    return pixels_NCHW


def render_layers(subjects: Sequence[Subject], views: Sequence[View], *, size_px: int) -> tuple[Tensor, Tensor]:
    """What a subject adds to any background, and how much of the background it lets through.

    A photo is `added + passed * background`; a style comes after. Shapes: (N, C, H, W) each, float in [0, 1].
    """
    added_NCHW = torch.empty(len(subjects), 3, size_px, size_px)
    passed_NCHW = torch.empty_like(added_NCHW)
    by_kind: dict[str, list[int]] = defaultdict(list)
    for row, subject in enumerate(subjects):
        by_kind[subject.kind].append(row)
    at_once = max(1, _PIXELS_AT_ONCE // size_px**2)
    for kind, of_kind in by_kind.items():
        for start in range(0, len(of_kind), at_once):
            rows = of_kind[start : start + at_once]
            shape = (len(rows), 3, size_px, size_px)
            of, seen = [subjects[row] for row in rows], [views[row] for row in rows]
            on_black = _photos(kind, of, seen, torch.zeros(shape))
            added_NCHW[rows] = on_black
            passed_NCHW[rows] = _photos(kind, of, seen, torch.ones(shape)) - on_black
    return added_NCHW, passed_NCHW


def _photos(kind: str, subjects: Sequence[Subject], views: Sequence[View], backgrounds_NCHW: Tensor) -> Tensor:
    """Subjects of one kind on backgrounds that are painted over, before any style. Shape: (N, C, H, W) in [0, 1]."""
    canvas = _canvas(subjects, views, backgrounds_NCHW)
    places, behind, before = KINDS[kind]
    figure = Figure(canvas, subjects, *_colours(subjects, views))
    with canvas.only([view.scene not in FLOATING for view in views]) as grounded:
        if grounded is not None:
            _paint_shadow(grounded)
    behind(figure)
    paint_sides(figure, places)
    paint_top(figure, places)
    before(figure)
    paint_eyes(figure, places)
    for accessory in ACCESSORIES:
        with canvas.only([accessory != "none" and view.accessory == accessory for view in views]) as wearing:
            if wearing is not None:
                paint_accessory(wearing, accessory, places)
    return canvas.pixels_NCHW


def _canvas(subjects: Sequence[Subject], views: Sequence[View], backgrounds_NCHW: Tensor) -> Canvas:
    size_px = backgrounds_NCHW.shape[-1]
    line = (torch.arange(size_px) + 0.5) / size_px
    rows = [
        (view.x, view.y, 2 / view.size, math.cos(view.angle), math.sin(view.angle), -1.0 if view.flip else 1.0)
        for view in views
    ]
    x_N11, y_N11, zoom_N11, cos_N11, sin_N11, mirror_N11 = torch.tensor(rows).T[:, :, None, None]
    wide_N11, high_N11 = torch.tensor([_ASPECTS[subject.aspect] for subject in subjects]).T[:, :, None, None]
    right_N1W = (line[None, None, :] - x_N11) * zoom_N11
    down_NH1 = (line[None, :, None] - y_N11) * zoom_N11
    return Canvas(
        pixels_NCHW=backgrounds_NCHW,
        x=(right_N1W * cos_N11 + down_NH1 * sin_N11) * mirror_N11 / wide_N11,
        y=(down_NH1 * cos_N11 - right_N1W * sin_N11) / high_N11,
        pixel=zoom_N11 / size_px / (wide_N11 * high_N11).sqrt(),
        shade=(1.03 - 0.13 * down_NH1.clamp(-1, 1))[:, None].expand(-1, -1, -1, size_px),
    )


def _colours(subjects: Sequence[Subject], views: Sequence[View]) -> tuple[Tensor, Tensor, Tensor]:
    """Body, second and accent colour of each picture, (N, 3) each, a repainted body respected."""
    rows: list[list[tuple[float, float, float]]] = []
    for subject, view in zip(subjects, views, strict=True):
        names = [subject.colour_body, subject.colour_second, subject.colour_accent]
        if view.attribute != "none":
            # Whatever had the new colour takes the old one, so that the three still differ.
            names = [view.attribute, *(names[0] if name == view.attribute else name for name in names[1:])]
        rows.append([COLOURS[name] for name in names])
    body_N3, second_N3, accent_N3 = torch.tensor(rows).unbind(dim=1)
    return body_N3, second_N3, accent_N3


def _paint_shadow(canvas: Canvas) -> None:
    depth = (0.5 - ellipse(canvas.x, canvas.y - 1.0, 0.8, 0.16) / 0.25).clamp_(0, 1)[:, None]
    canvas.pixels_NCHW *= 1 - 0.35 * depth
