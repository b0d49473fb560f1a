"""Shapes as signed distances: negative inside, positive outside, in the units of the coordinates.

Legend: N pictures, H height, W width. Every function takes coordinates (N, H, W) that have the shape's centre (or the
named points) as their frame, and returns distances (N, H, W). After I. Quilez, "2D distance functions".
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Size = float | Tensor  # one for all, or (N, 1, 1)


def disc(x: Tensor, y: Tensor, radius: Size) -> Tensor:
    """A filled circle."""
    return (x * x + y * y).sqrt_() - radius


def ellipse(x: Tensor, y: Tensor, radius_x: Size, radius_y: Size) -> Tensor:
    """A filled ellipse; exact on its edge, close to it near the edge."""
    u, v = x / radius_x, y / radius_y
    level = (u * u + v * v).sqrt_()
    u /= radius_x
    v /= radius_y
    return level * (level - 1) / ((u * u + v * v).sqrt_() + 1e-6)


def box(x: Tensor, y: Tensor, half_x: Size, half_y: Size, corner: Size = 0.0) -> Tensor:
    """A rectangle with round corners of a radius."""
    u, v = x.abs() - half_x + corner, y.abs() - half_y + corner
    inside = torch.maximum(u, v).clamp_(max=0)
    u.clamp_(min=0)
    v.clamp_(min=0)
    return (u * u + v * v).sqrt_() + inside - corner


def stroke(x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float], radius: Size) -> Tensor:
    """A line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    u, v = x - start[0], y - start[1]
    along = ((u * dx + v * dy) / (dx * dx + dy * dy)).clamp_(0, 1)
    return disc(u - along * dx, v - along * dy, radius)


def polygon(x: Tensor, y: Tensor, corners: Sequence[tuple[float, float]]) -> Tensor:
    """A convex polygon with the given corners, in either direction; exact, so that a line around it has round ends."""
    (ax, ay), (bx, by), (cx, cy) = corners[:3]
    sign = 1.0 if (bx - ax) * (cy - ay) > (cx - ax) * (by - ay) else -1.0
    inside = torch.full_like(x, -math.inf)
    square = torch.full_like(x, math.inf)
    for (px, py), (qx, qy) in zip(corners, (*corners[1:], corners[0]), strict=True):
        dx, dy = qx - px, qy - py
        length = math.hypot(dx, dy)
        u, v = x - px, y - py
        inside = torch.maximum(inside, (u * dy - v * dx) * (sign / length))
        along = ((u * dx + v * dy) / length**2).clamp_(0, 1)
        u -= along * dx
        v -= along * dy
        square = torch.minimum(square, u * u + v * v)
    return square.sqrt_().copysign_(inside)


def turned(x: Tensor, y: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """The coordinates in a frame turned clockwise by an angle in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def union(*distances: Tensor) -> Tensor:
    """All the shapes as one."""
    joined = distances[0]
    for distance in distances[1:]:
        joined = torch.minimum(joined, distance)
    return joined
