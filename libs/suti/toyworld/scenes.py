"""Where a subject is seen: a dozen backgrounds, the same for every picture of a size, so drawn once and kept.

Legend: C channels, H height, W width. Coordinates run from 0 to 1, y downwards.
"""

import math
from functools import cache
from typing import Final

import torch
from torch import Tensor

from suti.toyworld import words

FLOATING: Final = frozenset({"space", "sea"})  # where there is nothing to throw a shadow on
_Colour = tuple[float, float, float]


@cache
def scene(name: str, size_px: int) -> Tensor:
    """The background of a scene. Shape: (3, H, W) in [0, 1]; do not write to it."""
    return _Scene(size_px, supersampled=2).drawn(name)


class _Scene:
    def __init__(self, size_px: int, *, supersampled: int) -> None:
        side = size_px * supersampled
        line = (torch.arange(side) + 0.5) / side
        self.y, self.x = torch.meshgrid(line, line, indexing="ij")
        self.pixel = 1.0 / size_px
        self.fold = supersampled
        self.sheet = torch.zeros(3, side, side)

    def drawn(self, name: str) -> Tensor:
        if name not in words.SCENES:
            raise ValueError(f"no scene {name!r}")
        getattr(self, f"_{name}")()
        pooled = torch.nn.functional.avg_pool2d(self.sheet[None], self.fold)[0]
        return pooled.clamp_(0, 1)

    # The brushes.
    def _fade(self, top: _Colour, bottom: _Colour, start: float = 0.0, end: float = 1.0) -> None:
        """A gradient from `start` to `end`; nothing above `start`."""
        along = ((self.y - start) / (end - start)).clamp(0, 1)[None]
        ramp = torch.tensor(top)[:, None, None] * (1 - along) + torch.tensor(bottom)[:, None, None] * along
        self.sheet = torch.where((self.y >= start)[None], ramp, self.sheet)

    def _lay(self, distance: Tensor, colour: _Colour, strength: float = 1.0, soft: float = 0.0) -> None:
        cover = (0.5 - distance / (self.pixel + soft)).clamp(0, 1) * strength
        self.sheet = torch.lerp(self.sheet, torch.tensor(colour)[:, None, None], cover[None])

    def _disc(self, x: float, y: float, radius: float, flat: float = 1.0) -> Tensor:
        return ((self.x - x) ** 2 + ((self.y - y) * flat) ** 2).sqrt() - radius

    def _hill(self, level: float, height: float, waves: float, shift: float) -> Tensor:
        return level - height * torch.sin((self.x * waves + shift) * 2 * math.pi) - self.y

    def _peak(self, x: float, y: float, slope: float) -> Tensor:
        return (y + (self.x - x).abs() * slope - self.y) / math.hypot(1, slope)

    def _box(self, left: float, top: float, right: float, bottom: float) -> Tensor:
        return torch.maximum(
            (self.x - (left + right) / 2).abs() - (right - left) / 2,
            (self.y - (top + bottom) / 2).abs() - (bottom - top) / 2,
        )

    # The places.
    def _studio(self) -> None:
        self._fade((0.90, 0.91, 0.93), (0.97, 0.97, 0.98), 0.0, 0.72)
        self._fade((0.90, 0.90, 0.92), (0.84, 0.84, 0.87), 0.72, 1.0)

    def _beach(self) -> None:
        self._fade((0.45, 0.76, 0.98), (0.80, 0.93, 1.0), 0.0, 0.42)
        self._lay(self._disc(0.84, 0.14, 0.09), (1.0, 0.93, 0.55))
        self._fade((0.10, 0.55, 0.80), (0.30, 0.80, 0.85), 0.42, 0.62)
        self._lay(self._hill(0.64, 0.018, 1.5, 0.1), (0.98, 0.98, 0.96))
        self._lay(self._hill(0.665, 0.018, 1.5, 0.1), (0.97, 0.86, 0.60))

    def _forest(self) -> None:
        self._fade((0.55, 0.76, 0.62), (0.32, 0.56, 0.38), 0.0, 0.8)
        for x, width in ((0.08, 0.05), (0.30, 0.035), (0.72, 0.04), (0.93, 0.055)):
            self._lay(self._box(x - width, 0.0, x + width, 0.82), (0.33, 0.22, 0.14))
        for x in (0.0, 0.2, 0.42, 0.62, 0.82, 1.0):
            self._lay(self._disc(x, 0.06, 0.15), (0.13, 0.38, 0.20))
        self._lay(self._hill(0.78, 0.02, 1.0, 0.2), (0.20, 0.42, 0.20))

    def _snow(self) -> None:
        self._fade((0.66, 0.76, 0.88), (0.86, 0.91, 0.97), 0.0, 0.7)
        for x, y in ((0.14, 0.34), (0.86, 0.38)):
            for lift in (0.0, 0.12, 0.24):
                shape = torch.maximum(self._peak(x, y + lift * 0.8, 1.6), self.y - y - lift - 0.2)
                self._lay(shape, (0.30, 0.48, 0.50))
        self._lay(self._hill(0.68, 0.04, 0.8, 0.3), (0.97, 0.98, 1.0))
        for x, y in ((0.08, 0.1), (0.3, 0.22), (0.46, 0.08), (0.66, 0.2), (0.92, 0.12), (0.58, 0.42), (0.34, 0.5)):
            self._lay(self._disc(x, y, 0.02), (1.0, 1.0, 1.0))

    def _desert(self) -> None:
        self._fade((0.99, 0.72, 0.40), (1.0, 0.90, 0.66), 0.0, 0.6)
        self._lay(self._disc(0.2, 0.2, 0.1), (1.0, 0.97, 0.80))
        self._lay(self._hill(0.56, 0.05, 0.9, 0.35), (0.86, 0.55, 0.28))
        self._lay(self._hill(0.72, 0.05, 0.8, 0.8), (0.93, 0.66, 0.36))
        self._lay(self._box(0.84, 0.3, 0.9, 0.68), (0.25, 0.50, 0.28))
        self._lay(self._box(0.76, 0.4, 0.8, 0.5), (0.25, 0.50, 0.28))
        self._lay(self._box(0.76, 0.47, 0.88, 0.51), (0.25, 0.50, 0.28))

    def _night(self) -> None:
        self._fade((0.05, 0.06, 0.20), (0.16, 0.18, 0.42))
        self._lay(self._disc(0.8, 0.18, 0.11), (0.98, 0.95, 0.78))
        self._lay(self._disc(0.75, 0.15, 0.09), (0.07, 0.08, 0.24))
        for x, y in ((0.1, 0.12), (0.3, 0.3), (0.45, 0.1), (0.6, 0.26), (0.92, 0.44), (0.12, 0.48)):
            self._lay(self._disc(x, y, 0.016), (1.0, 1.0, 0.9))
        self._lay(self._hill(0.8, 0.04, 0.9, 0.1), (0.05, 0.10, 0.14))

    def _kitchen(self) -> None:
        self._fade((0.98, 0.93, 0.80), (0.98, 0.93, 0.80))
        for at in (0.0, 0.25, 0.5, 0.75, 1.0):
            self._lay(self._box(at - 0.01, 0.0, at + 0.01, 0.66), (0.88, 0.80, 0.64))
        for at in (0.16, 0.41):
            self._lay(self._box(0.0, at - 0.01, 1.0, at + 0.01), (0.88, 0.80, 0.64))
        self._fade((0.72, 0.45, 0.25), (0.58, 0.34, 0.18), 0.66, 1.0)
        self._lay(self._box(0.0, 0.64, 1.0, 0.68), (0.82, 0.56, 0.33))

    def _meadow(self) -> None:
        self._fade((0.55, 0.83, 0.99), (0.86, 0.96, 1.0), 0.0, 0.6)
        for x, y, radius in ((0.2, 0.18, 0.07), (0.29, 0.16, 0.09), (0.38, 0.19, 0.06)):
            self._lay(self._disc(x, y, radius), (1.0, 1.0, 1.0))
        self._lay(self._hill(0.58, 0.04, 0.8, 0.1), (0.45, 0.76, 0.35))
        self._lay(self._hill(0.72, 0.03, 0.9, 0.6), (0.36, 0.68, 0.28))
        for x, y in ((0.1, 0.8), (0.24, 0.92), (0.8, 0.78), (0.92, 0.9), (0.66, 0.95)):
            self._lay(self._disc(x, y, 0.025), (1.0, 0.95, 0.5))

    def _sea(self) -> None:
        self._fade((0.20, 0.70, 0.86), (0.03, 0.25, 0.52))
        for x in (0.15, 0.5, 0.8):
            ray = (self.x - x + self.y * 0.2).abs() - 0.05 - self.y * 0.03
            self._lay(ray, (0.55, 0.90, 0.95), strength=0.25, soft=0.08)
        for x, y, radius in ((0.12, 0.3, 0.035), (0.17, 0.18, 0.02), (0.88, 0.46, 0.035), (0.84, 0.32, 0.02)):
            self._lay(self._disc(x, y, radius).abs() - 0.006, (0.85, 0.97, 1.0))
        self._lay(self._hill(0.9, 0.03, 1.2, 0.1), (0.80, 0.72, 0.50))

    def _city(self) -> None:
        self._fade((0.62, 0.72, 0.86), (0.90, 0.88, 0.86), 0.0, 0.75)
        towers = ((0.0, 0.24, 0.2), (0.22, 0.42, 0.38), (0.46, 0.62, 0.16), (0.66, 0.8, 0.34), (0.82, 1.0, 0.22))
        for index, (left, right, top) in enumerate(towers):
            tone = ((0.50, 0.45, 0.52), (0.63, 0.48, 0.44), (0.42, 0.46, 0.56))[index % 3]
            self._lay(self._box(left, top, right, 0.8), tone)
            for y in (0.1, 0.22, 0.34):
                for x in (0.3, 0.7):
                    at = left + (right - left) * x
                    self._lay(self._box(at - 0.025, top + y - 0.03, at + 0.025, top + y + 0.03), (0.99, 0.90, 0.60))
        self._fade((0.36, 0.36, 0.40), (0.28, 0.28, 0.32), 0.76, 1.0)
        for x in (0.12, 0.5, 0.88):
            self._lay(self._box(x - 0.09, 0.9, x + 0.09, 0.93), (0.95, 0.92, 0.80))

    def _mountains(self) -> None:
        self._fade((0.56, 0.70, 0.92), (0.93, 0.88, 0.92), 0.0, 0.7)
        for x, y, slope, tone in ((0.18, 0.24, 1.3, (0.42, 0.42, 0.58)), (0.78, 0.14, 1.25, (0.50, 0.48, 0.62))):
            self._lay(self._peak(x, y, slope), tone)
            self._lay(torch.maximum(self._peak(x, y, slope), self.y - y - 0.13), (0.98, 0.98, 1.0))
        self._lay(self._hill(0.78, 0.03, 0.8, 0.4), (0.30, 0.44, 0.36))

    def _space(self) -> None:
        self._fade((0.03, 0.02, 0.08), (0.10, 0.04, 0.18))
        self._lay(self._disc(0.3, 0.75, 0.25), (0.30, 0.08, 0.40), strength=0.5, soft=0.3)
        self._lay(self._disc(0.18, 0.2, 0.12), (0.90, 0.50, 0.30))
        self._lay(self._disc(0.18, 0.2, 0.18, flat=4.0).abs() - 0.012, (0.98, 0.85, 0.60))
        for x, y in (
            (0.5, 0.1),
            (0.7, 0.2),
            (0.9, 0.1),
            (0.94, 0.5),
            (0.08, 0.56),
            (0.14, 0.9),
            (0.6, 0.94),
            (0.88, 0.84),
        ):
            self._lay(self._disc(x, y, 0.014), (1.0, 1.0, 1.0))
