"""Is this picture right? Exact renders answer: does it show the subject, and as the prompt asked for it?

*Identified*: of 16 subjects in the asked view, the true one's error is smaller than that of each distractor.

*Follows its prompt*: whoever of the 16 is nearest in the asked view is set against itself in every view that differs in
one asked thing (another scene, style, accessory or colour, or none); its error in the asked view is smaller than each.

*Overall*: both, as SuTI's raters count a picture (section 5). A tie is wrong.

Legend: N pictures, S subjects, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from suti.core.errors import InvalidArgument
from suti.toyworld.oracle.layers import Renders
from suti.toyworld.oracle.other_views import other_views
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View

OTHERS: Final = 15  # distractors: 16 subjects in a line-up
# Judges are code: a change of what they answer is a new number here.
IDENTIFYING = "oracle-1"
ANSWERING = f"{IDENTIFYING}/prompted-1"
_TIE: Final = 1e-7


@dataclass(frozen=True)
class Answer:
    """What is right about one picture."""

    identified: bool
    follows_prompt: bool

    @property
    def overall(self) -> bool:
        """The subject, as it was asked for."""
        return self.identified and self.follows_prompt


class Lineup:
    """One subject among distractors; renders are made once for each look and kept for all pictures of it."""

    def __init__(self, subject: Subject, distractors: Sequence[Subject]) -> None:
        if not distractors:
            raise InvalidArgument("distractors", "is empty: nobody to be mistaken for; draw some")
        self.subjects: Sequence[Subject] = [subject, *distractors]
        self._renders = Renders(self.subjects)
        self._alone: dict[int, Renders] = {}

    def errors(self, pictures_NCHW: Tensor, view: View) -> Tensor:
        """As `Renders.errors`, the true subject first. Shape: (N, S)."""
        return self._renders.errors(pictures_NCHW, view)

    def identified(self, pictures_NCHW: Tensor, view: View) -> list[bool]:
        """Whether each picture's nearest subject is the true one; faster than all `answers`."""
        return _first_is_nearest(self.errors(pictures_NCHW, view)).tolist()

    def answers(self, pictures_NCHW: Tensor, view: View) -> list[Answer]:
        """What is right about each picture that was drawn for one prompt; see `answers_and_identified`."""
        return self.answers_and_identified(pictures_NCHW, pictures_NCHW[:0], view)[0]

    def answers_and_identified(
        self, pictures_NCHW: Tensor, renders_NCHW: Tensor, view: View
    ) -> tuple[list[Answer], list[bool]]:
        """What is right about each picture that was drawn for one prompt, and whether each of `renders` is identified.

        A prompt that asks for nothing is followed by every picture. All are compared in one go: the renders of a style
        are composed for each comparison, and take longest.

        Args:
            pictures_NCHW: uint8 or float in [0, 255], square, 32 pixels or a multiple of it wide.
            renders_NCHW: the same of other pictures.
            view: what the prompt asked for; its pose does not matter.

        Raises:
            InvalidArgument: pictures of another shape.
        """
        count = len(pictures_NCHW)
        errors_NS = self.errors(torch.cat([pictures_NCHW, renders_NCHW]), view)
        identified: list[bool] = _first_is_nearest(errors_NS).tolist()
        follows: list[bool] = self._follow(pictures_NCHW, view, errors_NS[:count]).tolist()
        return [Answer(*both) for both in zip(identified[:count], follows, strict=True)], identified[count:]

    def _follow(self, pictures_NCHW: Tensor, view: View, errors_NS: Tensor) -> Tensor:
        """Whether each picture is nearer to the asked view than to any other, whoever it shows. Shape: (N,)."""
        least_N, nearest_N = errors_NS.min(dim=1)
        follows_N = torch.ones(len(pictures_NCHW), dtype=torch.bool)
        for number in nearest_N.unique().tolist():
            drawn_N, subject = nearest_N == number, self.subjects[number]
            renders = self._alone.setdefault(number, Renders([subject]))
            for other in other_views(subject, view):
                error_N = renders.errors(pictures_NCHW[drawn_N], other, every_place=view.style == "photo")[:, 0]
                follows_N[drawn_N] &= least_N[drawn_N] < error_N - _TIE
        return follows_N


def _first_is_nearest(errors_NS: Tensor) -> Tensor:
    return errors_NS[:, 0] < errors_NS[:, 1:].amin(dim=1) - _TIE
