"""How far pictures are from exact renders of a subject: what all answers of the oracle are made of.

The error of a subject is the least mean squared difference between the picture and its render in a scene, style,
accessory and attribute, over a fixed grid of sizes, tilts, mirror images and places, the same for all.

Photos are compared with every place of the grid by correlation: a render is `added + passed * scene`, and the square of
its difference to a picture falls apart into correlations of `added`, `passed` and their squares with what stays in
place. Styles mix subject and scene, so there the renders are composed one by one, on every second place.

Legend: N pictures, S subjects, P poses (size, tilt, mirror), L = S * P layers, C channels, H height, W width, U and V
places down and across, M margin in pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.toyworld.render import render_layers
from suti.toyworld.scenes import FLOATING, scene
from suti.toyworld.styles import styled
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View

SIDE_PX: Final = 32  # what pictures are averaged down to
SIZES: Final = (0.53, 0.59, 0.65, 0.71, 0.77)
TILTS: Final = (-0.18, 0.0, 0.18)
MARGIN_PX: Final = 8  # places: this far from the middle in each direction


class Renders:
    """Exact renders of some subjects, made once for each look and kept for all pictures of it."""

    def __init__(self, subjects: Sequence[Subject]) -> None:
        self._subjects = subjects
        self._layers: dict[tuple[bool, str, str], _Layers] = {}

    def errors(self, pictures_NCHW: Tensor, view: View, *, every_place: bool = True) -> Tensor:
        """Each subject's least mean squared error for each picture. Shape: (N, S).

        Args:
            pictures_NCHW: uint8 or float in [0, 255], square, SIDE_PX or a multiple of it wide.
            view: scene, style, accessory and attribute; its pose does not matter.
            every_place: False compares photos on every second place alone, as other styles are: beside one of those, a
                finer grid would favour the photo.

        Raises:
            InvalidArgument: pictures of another shape.
        """
        pictures_NCHW = _averaged(pictures_NCHW)
        look = (view.scene in FLOATING, view.accessory, view.attribute)
        if look not in self._layers:
            self._layers[look] = _Layers(self._subjects, view)
        layers, scene_CHW = self._layers[look], scene(view.scene, SIDE_PX)
        if view.style == "photo" and every_place:
            errors_NL = layers.photo_errors(pictures_NCHW, scene_CHW)
        else:
            errors_NL = layers.styled_errors(pictures_NCHW, scene_CHW, view.style)
        return errors_NL.unflatten(1, (len(self._subjects), -1)).amin(dim=2)


class _Layers:
    """Every subject in every pose in the middle of a sheet that is larger than a picture by a margin on each side."""

    def __init__(self, subjects: Sequence[Subject], view: View) -> None:
        sheet_px = SIDE_PX + 2 * MARGIN_PX
        zoom = SIDE_PX / sheet_px
        poses = [
            replace(view, x=0.5, y=0.5, size=size * zoom, angle=tilt, flip=flip, style="photo")
            for size in SIZES
            for tilt in TILTS
            for flip in (False, True)
        ]
        of = [subject for subject in subjects for _ in poses]
        self.added_LCHW, self.passed_LCHW = render_layers(of, poses * len(subjects), size_px=sheet_px)

    @cached_property
    def _squares(self) -> Tensor:
        """What is correlated with the scene alone: added², added * passed, passed². Shape: (L, 3C, H, W)."""
        added, passed = self.added_LCHW, self.passed_LCHW
        return torch.cat((added**2, added * passed, passed**2), dim=1)

    def photo_errors(self, pictures_NCHW: Tensor, scene_CHW: Tensor) -> Tensor:
        """Least error over all places of each layer. Shape: (N, L)."""
        with_scene = torch.cat((torch.ones_like(scene_CHW), 2 * scene_CHW, scene_CHW**2))
        own_L1UV = F.conv2d(self._squares, with_scene[None])
        with_pictures = torch.cat((pictures_NCHW, pictures_NCHW * scene_CHW), dim=1)
        crossed_LNUV = F.conv2d(torch.cat((self.added_LCHW, self.passed_LCHW), dim=1), with_pictures)
        best_LN = (own_L1UV - 2 * crossed_LNUV).flatten(2).amin(dim=2)
        return (best_LN.T + pictures_NCHW.pow(2).sum(dim=(1, 2, 3))[:, None]) / scene_CHW.numel()

    def styled_errors(self, pictures_NCHW: Tensor, scene_CHW: Tensor, style: str) -> Tensor:
        """Least error over every second place of each layer. Shape: (N, L)."""
        pictures_ND = pictures_NCHW.flatten(1)
        best_NL = torch.full((len(pictures_ND), len(self.added_LCHW)), torch.inf)
        for down, across in _every_second_place():
            window = (..., slice(down, down + SIDE_PX), slice(across, across + SIDE_PX))
            renders_LCHW = styled(self.added_LCHW[window] + self.passed_LCHW[window] * scene_CHW, style)
            renders_LD = renders_LCHW.flatten(1)
            best_NL = torch.minimum(best_NL, renders_LD.pow(2).sum(dim=1) - 2 * pictures_ND @ renders_LD.T)
        return (best_NL + pictures_ND.pow(2).sum(dim=1)[:, None]) / pictures_ND.shape[1]


def _every_second_place() -> Iterator[tuple[int, int]]:
    for down in range(0, 2 * MARGIN_PX + 1, 2):
        for across in range(0, 2 * MARGIN_PX + 1, 2):
            yield down, across


def _averaged(pictures_NCHW: Tensor) -> Tensor:
    """In [0, 1] and SIDE_PX wide."""
    side = pictures_NCHW.shape[-1]
    if pictures_NCHW.dim() != 4 or pictures_NCHW.shape[1:] != (3, side, side) or side % SIDE_PX:
        raise InvalidArgument(
            "pictures", f"shape {tuple(pictures_NCHW.shape)} is not (N, 3, side, side), {SIDE_PX} | side"
        )
    return F.avg_pool2d(pictures_NCHW.float() / 255, side // SIDE_PX)
