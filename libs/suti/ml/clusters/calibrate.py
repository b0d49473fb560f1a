"""The thresholds that belong to a CLIP, found from clusters that people (or a toy world) know the truth of.

0.82, 0.98 and 0.02 are ViT-L/14's (SuTI, section 4 and appendix A.1); another CLIP spreads its similarities otherwise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from suti.core.errors import BadConfiguration, PermanentError
from suti.ml.clusters.recipe import SelectionRecipe
from suti.ml.clusters.selection import mean_pairwise_similarity
from suti.ml.quality.recipe import FilterRecipe

FILE = "thresholds.json"  # beside the CLIP's own files


class CalibrationImpossible(PermanentError):
    """There are too few labelled clusters or gains to find a threshold with."""

    reason = "CALIBRATION_IMPOSSIBLE"


class ThresholdsUnreadable(BadConfiguration):
    """A model's thresholds.json is none, or belongs to another CLIP."""

    reason = "THRESHOLDS_UNREADABLE"


class ThresholdsUnwritable(BadConfiguration):
    """A model's folder may not be written."""

    reason = "THRESHOLDS_UNWRITABLE"


class Thresholds(BaseModel):
    """What `thresholds.json` says: the limits, how well they tell clusters apart, and what they were found on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    clip_sha256: str = Field(description="Digest of the CLIP that they belong to.")
    similarity_low: float = Field(ge=-1, le=1)
    similarity_high: float = Field(ge=-1, le=1)
    low_accuracy: float = Field(ge=0, le=1, description="Balanced accuracy, one subject against mixed.")
    high_accuracy: float = Field(ge=0, le=1, description="Balanced accuracy, one subject against copies.")
    min_gain: float | None = Field(None, ge=-2, le=2, description="None: not calibrated; the recipe's own stays.")
    min_gain_yield: float | None = Field(None, gt=0, le=1, description="Share of candidates above min_gain.")
    max_copy_similarity: float | None = Field(None, ge=-1, le=1, description="None: not calibrated, as above.")
    copy_accuracy: float | None = Field(
        None, ge=0, le=1, description="Balanced accuracy, other pictures of a page against copies of one."
    )
    same_clusters: int = 0
    mixed_clusters: int = 0
    copied_clusters: int = 0
    gains: int = 0

    def selection(self, recipe: SelectionRecipe) -> SelectionRecipe:
        """The recipe with these limits."""
        limits = {"similarity_low": self.similarity_low, "similarity_high": self.similarity_high}
        return SelectionRecipe.model_validate(recipe.model_dump() | limits)

    def filtering(self, recipe: FilterRecipe) -> FilterRecipe:
        """The recipe with this least gain and copy limit, unchanged where they are not calibrated."""
        limits = {"min_gain": self.min_gain, "max_copy_similarity": self.max_copy_similarity}
        found = {name: limit for name, limit in limits.items() if limit is not None}
        return FilterRecipe.model_validate(recipe.model_dump() | found)

    def save(self, folder: Path) -> Path:
        """Writes thresholds.json into the model's folder, whole or not at all.

        Raises:
            ThresholdsUnwritable: the folder may not be written.
        """
        path = folder / FILE
        new = path.with_name(f".{FILE}.new")
        try:
            new.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
            new.replace(path)
        except OSError as error:
            raise ThresholdsUnwritable(f"{path}: {error}; copy the model to a folder of your own") from error
        return path


def load_thresholds(folder: Path, *, clip_sha256: str = "") -> Thresholds | None:
    """The model folder's thresholds; None where there are none.

    Raises:
        ThresholdsUnreadable: the file makes no sense, or was found for another CLIP than `clip_sha256`.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        thresholds = Thresholds.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise ThresholdsUnreadable(f"{path} cannot be read ({error}): calibrate anew") from error
    if clip_sha256 and thresholds.clip_sha256 != clip_sha256:
        raise ThresholdsUnreadable(
            f"{path} belongs to CLIP {thresholds.clip_sha256[:12]}, not to {clip_sha256[:12]}: calibrate anew"
        )
    return thresholds


def calibrate(
    *,
    same: Sequence[Tensor],
    mixed: Sequence[Tensor],
    copied: Sequence[Tensor],
    clip_sha256: str,
    gains: Sequence[float] = (),
    gain_yield: float = 0.25,
    neighbours: Sequence[float] = (),
    copies: Sequence[float] = (),
) -> Thresholds:
    """Thresholds from labelled clusters, and the least gain that keeps a stated share of candidates.

    The default yield is the paper's: 500,000 of 2 million pairs (section 4). `neighbours` are similarities of pictures
    that are no copies of one another, however alike, and `copies` of some that are: the copy guard's limit is between.

    Shapes: each cluster (K, D), K >= 2, rows of unit length.

    Raises:
        CalibrationImpossible: a kind has no cluster of two or more pictures, or the limits would cross.
    """
    similar, mixture, repeated = (
        _similarities(name, clusters) for name, clusters in (("same", same), ("mixed", mixed), ("copied", copied))
    )
    copy_limit = best_threshold(below=neighbours, above=copies) if neighbours and copies else (None, None)
    low, low_accuracy = best_threshold(below=mixture, above=similar)
    high, high_accuracy = best_threshold(below=similar, above=repeated)
    if low > high:
        raise CalibrationImpossible(
            f"the limits cross ({low:.4f} > {high:.4f}): copies are not closer than clusters of one subject; "
            "check the labels, or use another CLIP"
        )
    return Thresholds(
        clip_sha256=clip_sha256,
        similarity_low=low,
        similarity_high=high,
        low_accuracy=low_accuracy,
        high_accuracy=high_accuracy,
        min_gain=least_gain(gains, keep=gain_yield) if gains else None,
        min_gain_yield=gain_yield if gains else None,
        max_copy_similarity=copy_limit[0],
        copy_accuracy=copy_limit[1],
        same_clusters=len(similar),
        mixed_clusters=len(mixture),
        copied_clusters=len(repeated),
        gains=len(gains),
    )


def best_threshold(*, below: Sequence[float], above: Sequence[float]) -> tuple[float, float]:
    """The threshold of best balanced accuracy between two sets of scores, and that accuracy.

    Balanced accuracy is the mean of the share of `below` under and of `above` over the threshold. It lies in the
    middle between two neighbouring scores; of equally good places it is the one with the widest gap.
    """
    if not below or not above:
        raise CalibrationImpossible("no scores on one side: give clusters of every kind")
    scores = np.unique(np.array([*below, *above], dtype=np.float64))
    if len(scores) == 1:
        return float(scores[0]), 0.5
    places = (scores[:-1] + scores[1:]) / 2
    under = np.searchsorted(np.sort(below), places) / len(below)
    over = 1 - np.searchsorted(np.sort(above), places) / len(above)
    accuracy = (under + over) / 2
    best = np.flatnonzero(np.isclose(accuracy, accuracy.max(), rtol=0, atol=1e-12))
    place = best[np.argmax(np.diff(scores)[best])]
    return round(float(places[place]), 6), float(accuracy[place])


def least_gain(gains: Sequence[float], *, keep: float) -> float:
    """The lambda above which a share of `keep` of the gains lies (SuTI, section 4); in [-2, 2]."""
    if not gains or not 0 < keep <= 1:
        raise CalibrationImpossible(f"{len(gains)} gains and a share of {keep}: give gains, and a share in (0, 1]")
    ordered = np.sort(np.array(gains, dtype=np.float64))[::-1]
    count = max(round(keep * len(ordered)), 1)
    if count == len(ordered):
        return round(max(float(ordered[-1]) - 1e-6, -2.0), 6)
    return round(float(ordered[count - 1] + ordered[count]) / 2, 6)


def _similarities(name: str, clusters: Sequence[Tensor]) -> list[float]:
    scores = [score for rows_KD in clusters if (score := mean_pairwise_similarity(rows_KD)) is not None]
    if not scores:
        raise CalibrationImpossible(f"no {name} cluster has two pictures: give more clusters")
    return scores
