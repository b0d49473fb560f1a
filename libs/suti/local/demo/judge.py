"""Every drawn picture judged: CLIP-T, CLIP-I, whether it shows the true one of 16 subjects, and as asked.

Legend: N pictures, K demonstrations, C channels, H height, W width, D embedding width.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from suti.ml.clip.encoder import ClipEncoder
from suti.ml.evaluation.intervals import Interval, bootstrap_mean, paired_difference
from suti.ml.evaluation.scores import clip_i, clip_t
from suti.report.facts import ModelScores, Score
from suti.toyworld.oracle.layers import SIDE_PX
from suti.toyworld.oracle.lineup import Answer, Lineup
from suti.toyworld.subjects import Subject
from suti.toyworld.views import View


@dataclass(frozen=True)
class Judged:
    """One picture's scores. `group` is its subject: pictures of one are no independent throws."""

    group: str
    prompt: str
    sample: int
    clip_t: float
    clip_i: float
    answer: Answer


class SubjectJudge:
    """Judges pictures of one subject. Its line-up is drawn anew for each prompt, since sixty megabytes of renders
    belong to each: hand in all pictures of a prompt at once.
    """

    def __init__(
        self,
        subject: Subject,
        others: Sequence[Subject],
        demonstrations: Sequence[bytes],
        *,
        clip: ClipEncoder,
        group: str,
    ) -> None:
        self._subject, self._others, self._clip, self._group = subject, others, clip, group
        self._demos_KD = clip.encode_pictures([opened(png) for png in demonstrations], pad=False)

    def judge(
        self, pngs: Mapping[str, Sequence[bytes]], *, prompt: str, view: View, renders_NCHW: Tensor | None = None
    ) -> tuple[dict[str, list[Judged]], list[bool]]:
        """Scores of each model's pictures for one prompt, and whether each of `renders_NCHW` is identified."""
        pictures = [opened(png) for some in pngs.values() for png in some]
        image_ND = self._clip.encode_pictures(pictures, pad=False)
        text_ND = self._clip.encode_texts([prompt], pad=False)
        fits: list[float] = clip_t(image_ND, text_ND).tolist()
        alike: list[float] = clip_i(image_ND, self._demos_KD.expand(len(pictures), -1, -1)).tolist()
        pictures_NCHW, lineup = stacked(pictures), Lineup(self._subject, self._others)
        renders_NCHW = pictures_NCHW[:0] if renders_NCHW is None else renders_NCHW
        answers, identified = lineup.answers_and_identified(pictures_NCHW, renders_NCHW, view)
        rows = zip(fits, alike, answers, strict=True)
        judged = {
            model: [
                Judged(self._group, prompt, sample, *scores)
                for sample, scores in zip(range(len(some)), rows, strict=False)
            ]
            for model, some in pngs.items()
        }
        return judged, identified


def opened(png: bytes) -> Image.Image:
    """A PNG as RGB."""
    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")


def stacked(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of any size as the oracle compares them. Shape: (N, C, SIDE_PX, SIDE_PX) uint8."""
    same = [picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX) for picture in pictures]
    arrays = [cast("np.ndarray[Any, np.dtype[np.uint8]]", np.array(picture)) for picture in same]
    return torch.stack([torch.from_numpy(array_HWC).permute(2, 0, 1) for array_HWC in arrays])


def scores(judged: Sequence[Judged], *, seed: int = 0) -> ModelScores:
    """Means with intervals over whole subjects."""
    groups = [one.group for one in judged]
    return ModelScores(
        clip_t=as_score(bootstrap_mean([one.clip_t for one in judged], groups=groups, seed=seed)),
        clip_i=as_score(bootstrap_mean([one.clip_i for one in judged], groups=groups, seed=seed)),
        identified_16way=share([one.answer.identified for one in judged], groups, seed=seed),
        follows_prompt=share([one.answer.follows_prompt for one in judged], groups, seed=seed),
        overall=share([one.answer.overall for one in judged], groups, seed=seed),
    )


def share(right: Sequence[bool], groups: Sequence[str], *, seed: int = 0) -> Score:
    """The share of what is right, with its interval."""
    return as_score(bootstrap_mean([float(one) for one in right], groups=groups, seed=seed))


def difference(one: Sequence[Judged], other: Sequence[Judged], *, seed: int = 0) -> ModelScores:
    """One model minus another on the same subjects, prompts and seeds."""
    by_key = {_key(judged): judged for judged in other}
    pairs = [(judged, by_key[_key(judged)]) for judged in one if _key(judged) in by_key]
    groups = [judged.group for judged, _ in pairs]

    def paired(values: Sequence[tuple[float, float]]) -> Score:
        first, second = [a for a, _ in values], [b for _, b in values]
        return as_score(paired_difference(first, second, groups=groups, seed=seed))

    return ModelScores(
        clip_t=paired([(a.clip_t, b.clip_t) for a, b in pairs]),
        clip_i=paired([(a.clip_i, b.clip_i) for a, b in pairs]),
        identified_16way=paired([(float(a.answer.identified), float(b.answer.identified)) for a, b in pairs]),
        follows_prompt=paired([(float(a.answer.follows_prompt), float(b.answer.follows_prompt)) for a, b in pairs]),
        overall=paired([(float(a.answer.overall), float(b.answer.overall)) for a, b in pairs]),
    )


def as_score(interval: Interval) -> Score:
    """An interval as reports have it."""
    return Score(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n)


def _key(judged: Judged) -> tuple[str, str, int]:
    return judged.group, judged.prompt, judged.sample
