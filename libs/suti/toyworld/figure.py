"""What a kind's drawing needs to know: the canvas, the traits of each picture, and where things are attached.

Legend: N pictures, C channels (red, green, blue), H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suti.toyworld import shapes, words
from suti.toyworld.canvas import Canvas
from suti.toyworld.subjects import Subject


@dataclass(frozen=True)
class Places:
    """Where a kind wears, holds and shows things, in the subject's own frame ([-1, 1] each way, y downwards)."""

    top: tuple[float, float]  # the highest point of the head
    top_half: float  # half the distance of paired ears or horns
    face: tuple[float, float]
    face_half: float  # half the distance of the eyes
    neck: tuple[float, float]
    neck_half: float
    shoulder: tuple[float, float]  # of the right side; the left one is its mirror image


@dataclass
class Figure:
    """Subjects of one kind on a canvas."""

    canvas: Canvas
    subjects: Sequence[Subject]
    body_N3: Tensor
    second_N3: Tensor
    accent_N3: Tensor

    def blob(self, centre: tuple[float, float], half_x: float, half_y: float) -> Tensor:
        """A body of each subject's own form. Returns distances (N, H, W)."""
        x, y = self.canvas.x - centre[0], self.canvas.y - centre[1]
        lean = 0.42 * min(1.0, 0.7 / half_x)
        taper = self._per_subject({"tapered": lean, "flared": -lean}, default=0.0)
        leaning = x / (1 + taper / half_y * y.clamp(-half_y, half_y))
        corner = self._per_subject({"square": 0.12}, default=0.5) * min(half_x, half_y)
        boxed = shapes.box(leaning, y, half_x, half_y, corner)
        round_N = torch.tensor([subject.form == "round" for subject in self.subjects])[:, None, None]
        return torch.where(round_N, shapes.ellipse(x, y, half_x * 1.06, half_y * 1.06), boxed)

    def patterned(self, centre: tuple[float, float]) -> Tensor:
        """The body's paint: its colour with the pattern in the second colour. Shape: (N, C, H, W)."""
        x, y = self.canvas.x - centre[0], self.canvas.y - centre[1]
        soft = self.canvas.pixel
        mask_NHW = torch.zeros_like(x)
        for pattern in words.PATTERNS:
            rows = [row for row, subject in enumerate(self.subjects) if subject.pattern == pattern]
            if rows and pattern != "plain":
                distance = _pattern(pattern, x[rows], y[rows])
                mask_NHW[rows] = (0.5 - distance / soft[rows]).clamp_(0, 1)
        return torch.lerp(
            self.body_N3[:, :, None, None].expand(-1, -1, *x.shape[1:]),
            self.second_N3[:, :, None, None].expand(-1, -1, *x.shape[1:]),
            mask_NHW[:, None].expand(-1, 3, -1, -1),
        )

    def _per_subject(self, of_form: dict[str, float], *, default: float) -> Tensor:
        return torch.tensor([of_form.get(subject.form, default) for subject in self.subjects])[:, None, None]


def _pattern(pattern: str, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance to the pattern's second colour, shape (N, H, W)."""
    match pattern:
        case "stripes":
            return _wave(y + 0.12, 0.5)
        case "bars":
            return _wave(x, 0.5)
        case "dots":
            return shapes.disc(_cell(x + 0.25, 0.5), _cell(y + 0.25, 0.5), 0.17)
        case "checks":
            u, v = _wave(x, 0.64), _wave(y, 0.64)
            return torch.maximum(torch.minimum(u, v), -torch.maximum(u, v))
        case "bottom":
            return 0.04 - y
        case _:
            return x


def _cell(x: Tensor, period: float) -> Tensor:
    return x - period * torch.round(x / period)


def _wave(x: Tensor, period: float) -> Tensor:
    return _cell(x, period).abs() - period / 4
