"""One subject's ruler: its real pictures looked at once, then any number of drawings measured against them.

Legend: N drawings, K real pictures, P patches, H height, W width, D embedding width.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from suti.core.errors import PermanentError
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.evaluation.dino import DinoEncoder, Looked
from suti.ml.evaluation.masks import mask_of, without_background
from suti.ml.evaluation.preprocessing import cropped
from suti.ml.evaluation.protocols import Protocol
from suti.ml.evaluation.scores import clip_t, likeness
from suti.ml.evaluation.segmenter import TextSegmenter
from suti.ml.evaluation.weaknesses import copy_score, detail_score, diversity, patches_of_mask
from suti.stages.evaluation.subjects import Picture

METRICS: Final = ("dino", "clip_i", "clip_t", "copy", "diversity", "detail")


@dataclass(frozen=True, slots=True)
class Missing:
    """No score, and why."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one picture, measured against `references` pictures; `missing` more should have been among them."""

    score: float | Missing
    references: int = 0
    missing: int = 0
    against_sha256: str = ""  # of those pictures, where they are real ones


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a metric is measured against: places of real pictures, and how many more there should be."""

    places: Sequence[int]
    missing: int


@dataclass(frozen=True)
class MeasuringModels:
    """What scores are measured with."""

    dino: DinoEncoder
    clip: ClipEncoder
    segmenter: TextSegmenter | None = None

    def protocol_id(self, protocol: Protocol) -> str:
        """The protocol, with these models."""
        found = protocol.protocol_id(
            dino_sha256=self.dino.digest, dino_px=self.dino.side_px, clip_sha256=self.clip.digest
        )
        if protocol.background == "removed":
            masks = f"segmenter@{self.segmenter.digest[:12]}" if self.segmenter else "given"
            return f"{found};masks={masks}"
        return found


@dataclass(frozen=True)
class _Seen:
    """Pictures as the encoders saw them; those that could not be used are left out, and say why."""

    rows: dict[int, int]  # place among the pictures -> row below
    refused: dict[int, Missing]
    dino: Looked
    clip_ND: Tensor
    shows_NP: Tensor  # which patches show the subject


class SubjectRuler:
    """Measures drawings of one subject.

    Args:
        pictures: the subject's real pictures, as many as could be opened.
        unopened: how many more there are.
        shown: which of `pictures` the system saw: its demonstrations.
        shown_unopened: how many of those unopened it saw.
        class_word: what the subject is, for segmenters.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        *,
        unopened: int,
        shown: Sequence[int],
        shown_unopened: int = 0,
        class_word: str,
        protocol: Protocol,
        models: MeasuringModels,
    ) -> None:
        self._models, self._protocol, self._class_word = models, protocol, class_word
        self._count, self._unopened = len(pictures), unopened
        self._shown, self._shown_unopened = frozenset(shown), shown_unopened
        self._sha256 = [one.pixels_sha256 + (f" {one.mask_sha256}" if self._masked else "") for one in pictures]
        self._real = self._look([(one.image, one.path) for one in pictures])

    def measure(self, drawings: Sequence[Picture], *, text: str, absent: int = 0) -> list[Mapping[str, Measured]]:
        """Every metric of each of one prompt's drawings; `text` is what CLIP-T reads, `absent` are not here."""
        seen = self._look([(one.image, one.path) for one in drawings])
        measured = self._measure(seen, len(drawings), left_out=None, absent=absent)
        if drawings:
            whole_ND = self._models.clip.encode_pictures([one.image.convert("RGB") for one in drawings], pad=False)
            fits = clip_t(whole_ND, self._models.clip.encode_texts([text], pad=False)).tolist()
            for row, score in zip(measured, fits, strict=True):
                row["clip_t"] = Measured(float(score))
        return [dict(row) for row in measured]

    def measure_real(self) -> list[Mapping[str, Measured]]:
        """Each real picture against the subject's other real pictures: what a perfect system would reach."""
        found: list[Mapping[str, Measured]] = []
        apart = self._diversity(self._real, self._count, absent=self._unopened)
        for place in range(self._count):
            alone = _only(self._real, place)
            row = self._measure(alone, 1, left_out=place, absent=0)[0]
            found.append({**row, "diversity": apart[place]})
        return found

    def _measure(self, seen: _Seen, count: int, *, left_out: int | None, absent: int) -> list[dict[str, Measured]]:
        references, demos = self._references(left_out), self._demonstrations(left_out)
        detailed = [place for place in references.places if bool(self._real.shows_NP[self._real.rows[place]].any())]
        bases = {
            "dino": references,
            "clip_i": references,
            "detail": _Basis(detailed, references.missing + len(references.places) - len(detailed)),
            "copy": demos,
        }
        apart = self._diversity(seen, count, absent=absent)
        scores = {metric: self._scores(metric, seen, basis) for metric, basis in bases.items()}
        found: list[dict[str, Measured]] = []
        for place in range(count):
            row: dict[str, Measured] = {"diversity": apart[place]}
            for metric, basis in bases.items():
                score = scores[metric]
                value = score if isinstance(score, Missing) else seen.refused.get(place)
                if value is None:
                    number = float(cast(Tensor, score)[seen.rows[place]])
                    value = number if np.isfinite(number) else Missing("NO_PATCHES", "no patch shows the subject")
                row[metric] = Measured(value, len(basis.places), basis.missing, self._digest(basis))
            found.append(row)
        return found

    def _scores(self, metric: str, seen: _Seen, basis: _Basis) -> Tensor | Missing:
        rows, real = [self._real.rows[place] for place in basis.places], self._real
        if metric == "copy":
            if not rows:
                return Missing("NO_DEMONSTRATIONS", "no usable picture that the system saw")
            return copy_score(seen.dino.class_ND, real.dino.class_ND[rows])
        if not rows:
            return Missing("NO_REFERENCES", f"no usable reference among {basis.missing}, by the protocol's choice")
        if metric == "dino":
            return likeness(seen.dino.class_ND, real.dino.class_ND[rows])
        if metric == "clip_i":
            return likeness(seen.clip_ND, real.clip_ND[rows])
        return detail_score(
            seen.dino.patch_NPD,
            real.dino.patch_NPD[rows],
            wanted_KQ=real.shows_NP[rows],
            offered_NP=seen.shows_NP,
        )

    def _diversity(self, seen: _Seen, count: int, *, absent: int) -> list[Measured]:
        usable = len(seen.rows)
        others, missing = max(usable - 1, 0), count - usable + absent
        few = Missing("TOO_FEW_DRAWINGS", "diversity wants two usable pictures or more")
        apart: list[float] = diversity(seen.dino.class_ND).tolist() if usable > 1 else []
        return [
            Measured(seen.refused.get(place) or (apart[seen.rows[place]] if apart else few), others, missing)
            for place in range(count)
        ]

    def _references(self, left_out: int | None) -> _Basis:
        """The references that can be used, and how many more there should be."""
        unseen_alone = self._protocol.references == "others"
        wanted = [
            place for place in range(self._count) if place != left_out and not (unseen_alone and place in self._shown)
        ]
        unopened = self._unopened - (self._shown_unopened if unseen_alone else 0)
        return self._basis(wanted, unopened)

    def _demonstrations(self, left_out: int | None) -> _Basis:
        """What the system saw; of a real picture, all others."""
        if left_out is not None:
            return self._basis([place for place in range(self._count) if place != left_out], self._unopened)
        return self._basis(sorted(self._shown), self._shown_unopened)

    def _basis(self, wanted: Sequence[int], unopened: int) -> _Basis:
        usable = [place for place in wanted if place in self._real.rows]
        return _Basis(usable, len(wanted) - len(usable) + unopened)

    def _digest(self, basis: _Basis) -> str:
        told = "\n".join(sorted(self._sha256[place] for place in basis.places))
        return hashlib.sha256(told.encode()).hexdigest() if told else ""

    @property
    def _masked(self) -> bool:
        return self._protocol.background == "removed"

    def _look(self, pictures: Sequence[tuple[Image.Image, Path | None]]) -> _Seen:
        """What DINO and CLIP see of pictures, backgrounds removed where the protocol says so."""
        usable: list[Image.Image] = []
        for_clip: list[Image.Image] = []
        shows: list[Tensor] = []
        rows: dict[int, int] = {}
        refused: dict[int, Missing] = {}
        recipe, dino = self._protocol.picture, self._models.dino
        everywhere_P = torch.ones((dino.side_px // dino.patch_px) ** 2, dtype=torch.bool)
        for place, (image, path) in enumerate(pictures):
            picture, shows_P = image.convert("RGB"), everywhere_P
            clips = picture
            if self._masked:
                try:
                    mask = mask_of(image, file=path, segmenter=self._models.segmenter, class_word=self._class_word)
                except PermanentError as error:
                    refused[place] = Missing(error.reason, str(error))
                    continue
                clips = without_background(picture, mask, self._models.clip.picture_mean)
                picture = without_background(picture, mask, recipe.mean)
                mask_HW = _as_mask(cropped(mask.convert("RGB"), recipe, side_px=dino.side_px))
                shows_P = patches_of_mask(mask_HW[None], patch_px=dino.patch_px)[0]
            rows[place] = len(usable)
            usable.append(picture)
            for_clip.append(clips)
            shows.append(shows_P)
        return _Seen(
            rows=rows,
            refused=refused,
            dino=dino.look(usable, recipe),
            clip_ND=self._models.clip.encode_pictures(for_clip, pad=False),
            shows_NP=torch.stack(shows) if shows else torch.empty(0, len(everywhere_P), dtype=torch.bool),
        )


def _only(seen: _Seen, place: int) -> _Seen:
    if place in seen.refused:
        rows, kept = {}, slice(0, 0)
    else:
        rows, kept = {0: 0}, slice(seen.rows[place], seen.rows[place] + 1)
    refused = {0: seen.refused[place]} if place in seen.refused else {}
    looked = Looked(seen.dino.class_ND[kept], seen.dino.patch_NPD[kept])
    return _Seen(rows, refused, looked, seen.clip_ND[kept], seen.shows_NP[kept])


def _as_mask(picture: Image.Image) -> Tensor:
    pixels_HW = cast("np.ndarray[Any, np.dtype[np.uint8]]", np.array(picture.convert("L")))
    return torch.from_numpy(pixels_HW) >= 128
