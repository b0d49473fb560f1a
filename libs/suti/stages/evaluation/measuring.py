"""One subject's ruler: its real pictures looked at once, then any number of drawings measured against them.

Legend: N drawings, K real pictures, P patches, H height, W width, D embedding width.
"""

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
_OF_REFERENCES: Final = frozenset({"dino", "clip_i", "detail"})  # means over references


@dataclass(frozen=True, slots=True)
class Missing:
    """No score, and why."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one picture. `references` of those that it should be a mean over were `missing`."""

    score: float | Missing
    references: int = 0
    missing: int = 0


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
        class_word: what the subject is, for segmenters.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        *,
        unopened: int,
        shown: Sequence[int],
        class_word: str,
        protocol: Protocol,
        models: MeasuringModels,
    ) -> None:
        self._models, self._protocol, self._class_word = models, protocol, class_word
        self._count, self._unopened = len(pictures), unopened
        self._shown = frozenset(shown)
        self._real = self._look([(one.image, one.path) for one in pictures])

    def measure(self, drawings: Sequence[Picture], *, text: str) -> list[Mapping[str, Measured]]:
        """Every metric of each of one prompt's drawings; `text` is what CLIP-T reads."""
        seen = self._look([(one.image, one.path) for one in drawings])
        measured = self._measure(seen, len(drawings), left_out=None)
        if drawings:
            whole_ND = self._models.clip.encode_pictures([one.image.convert("RGB") for one in drawings], pad=False)
            fits = clip_t(whole_ND, self._models.clip.encode_texts([text], pad=False)).tolist()
            for row, score in zip(measured, fits, strict=True):
                row["clip_t"] = Measured(float(score))
        return [dict(row) for row in measured]

    def measure_real(self) -> list[Mapping[str, Measured]]:
        """Each real picture against the subject's other real pictures: what a perfect system would reach."""
        found: list[Mapping[str, Measured]] = []
        apart = self._diversity(self._real, self._count)
        for place in range(self._count):
            alone = _only(self._real, place)
            row = self._measure(alone, 1, left_out=place)[0]
            found.append({**row, "diversity": apart[place]})
        return found

    def _measure(self, seen: _Seen, count: int, *, left_out: int | None) -> list[dict[str, Measured]]:
        references, wanted = self._references(left_out)
        demos = [self._real.rows[place] for place in sorted(self._real.rows) if self._is_demo(place, left_out)]
        missing = wanted - len(references)
        scores: dict[str, Tensor | Missing] = {}
        if references:
            scores["dino"] = likeness(seen.dino.class_ND, self._real.dino.class_ND[references])
            scores["clip_i"] = likeness(seen.clip_ND, self._real.clip_ND[references])
            scores["detail"] = detail_score(
                seen.dino.patch_NPD,
                self._real.dino.patch_NPD[references],
                wanted_KQ=self._real.shows_NP[references],
                offered_NP=seen.shows_NP,
            )
        else:
            none = Missing("NO_REFERENCES", f"no usable reference among {wanted}, by the protocol's choice of them")
            scores = dict.fromkeys(sorted(_OF_REFERENCES), none)
        scores["copy"] = (
            copy_score(seen.dino.class_ND, self._real.dino.class_ND[demos])
            if demos
            else Missing("NO_DEMONSTRATIONS", "no usable picture that the system saw")
        )
        apart = self._diversity(seen, count)
        found: list[dict[str, Measured]] = []
        for place in range(count):
            row: dict[str, Measured] = {"diversity": apart[place]}
            for metric, score in scores.items():
                of_references = metric in _OF_REFERENCES
                value: float | Missing
                if place in seen.refused:
                    value = seen.refused[place]
                elif isinstance(score, Missing):
                    value = score
                else:
                    number = float(score[seen.rows[place]])
                    value = number if np.isfinite(number) else Missing("NO_PATCHES", "no patch shows the subject")
                row[metric] = Measured(value, len(references) if of_references else 0, missing if of_references else 0)
            found.append(row)
        return found

    def _diversity(self, seen: _Seen, count: int) -> list[Measured]:
        few = Missing("TOO_FEW_DRAWINGS", "diversity wants two usable pictures or more")
        if len(seen.rows) < 2:
            return [Measured(seen.refused.get(place, few)) for place in range(count)]
        apart: list[float] = diversity(seen.dino.class_ND).tolist()
        return [
            Measured(seen.refused[place] if place in seen.refused else apart[seen.rows[place]])
            for place in range(count)
        ]

    def _references(self, left_out: int | None) -> tuple[list[int], int]:
        """Rows of the references that can be used, and how many there should be."""
        chosen = [place for place in range(self._count) if place != left_out and self._is_reference(place)]
        unopened = self._unopened if self._protocol.references != "demonstrations" else 0
        return [self._real.rows[place] for place in chosen if place in self._real.rows], len(chosen) + unopened

    def _is_reference(self, place: int) -> bool:
        match self._protocol.references:
            case "all":
                return True
            case "demonstrations":
                return place in self._shown
            case "others":
                return place not in self._shown

    def _is_demo(self, place: int, left_out: int | None) -> bool:
        return place != left_out and (left_out is not None or place in self._shown)

    def _look(self, pictures: Sequence[tuple[Image.Image, Path | None]]) -> _Seen:
        """What DINO and CLIP see of pictures, backgrounds removed where the protocol says so."""
        usable: list[Image.Image] = []
        shows: list[Tensor] = []
        rows: dict[int, int] = {}
        refused: dict[int, Missing] = {}
        recipe, dino = self._protocol.picture, self._models.dino
        everywhere_P = torch.ones((dino.side_px // dino.patch_px) ** 2, dtype=torch.bool)
        for place, (image, path) in enumerate(pictures):
            picture, shows_P = image.convert("RGB"), everywhere_P
            if self._protocol.background == "removed":
                try:
                    mask = mask_of(image, file=path, segmenter=self._models.segmenter, class_word=self._class_word)
                except PermanentError as error:
                    refused[place] = Missing(error.reason, str(error))
                    continue
                picture = without_background(picture, mask, recipe)
                mask_HW = _as_mask(cropped(mask.convert("RGB"), recipe, side_px=dino.side_px))
                shows_P = patches_of_mask(mask_HW[None], patch_px=dino.patch_px)[0]
            rows[place] = len(usable)
            usable.append(picture)
            shows.append(shows_P)
        return _Seen(
            rows=rows,
            refused=refused,
            dino=dino.look(usable, recipe),
            clip_ND=self._models.clip.encode_pictures(usable, pad=False),
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
