"""Where shapes become pixels: a batch of pictures with a frame of its own in each, painted from back to front.

Legend: N pictures, C channels (red, green, blue), H height, W width.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

Paint = tuple[float, float, float] | Tensor  # one for all, (N, 3) or (N, C, H, W)
INK = (0.15, 0.12, 0.20)


@dataclass
class Canvas:
    """Pictures in [0, 1] and, for every pixel, where it lies in the subject's own frame (y downwards)."""

    pixels_NCHW: Tensor
    x: Tensor  # (N, H, W)
    y: Tensor  # (N, H, W)
    pixel: Tensor  # (N, 1, 1): the size of a pixel in the subject's frame
    shade: Tensor  # (N, 1, H, W): light from above, about 1

    def paint(self, distance: Tensor, paint: Paint, *, outlined: bool = True, shaded: bool = True) -> None:
        """Lay a shape over the pictures, its edge one pixel soft, with an ink line around it where wanted."""
        level = distance / self.pixel
        if outlined:
            width = (0.05 / self.pixel).clamp_(min=0.6)
            self._blend((width + 0.5 - level).clamp_(0, 1), self._colour(INK))
        colour = self._colour(paint)
        self._blend((0.5 - level).clamp_(0, 1), (colour * self.shade).clamp_(0, 1) if shaded else colour)

    @contextmanager
    def only(self, chosen: Sequence[bool]) -> "Generator[Canvas | None]":
        """A canvas of some of the pictures, put back on leaving; none where nothing is chosen."""
        index = [row for row, wanted in enumerate(chosen) if wanted]
        if not index:
            yield None
        elif len(index) == len(chosen):
            yield self
        else:
            rows = torch.tensor(index)
            part = Canvas(self.pixels_NCHW[rows], self.x[rows], self.y[rows], self.pixel[rows], self.shade[rows])
            yield part
            self.pixels_NCHW[rows] = part.pixels_NCHW

    def _blend(self, cover: Tensor, colour: Tensor) -> None:
        self.pixels_NCHW.lerp_(colour.expand_as(self.pixels_NCHW), cover[:, None].expand_as(self.pixels_NCHW))

    def _colour(self, paint: Paint) -> Tensor:
        if isinstance(paint, tuple):
            return torch.tensor(paint)[None, :, None, None]
        return paint[:, :, None, None] if paint.dim() == 2 else paint
