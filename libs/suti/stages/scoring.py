"""What the filter measures of a shard's candidates, before anybody judges.

Legend: N candidates, K demonstrations of one cluster, D embedding width, S low-resolution side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from suti.core.records import CandidateRow, PictureRow
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.quality.copies import low_resolution, shows_nothing
from suti.ml.quality.measuring import score_cluster
from suti.ml.quality.verdicts import FAILED, Scores
from suti.stages.progress import Progress, silent
from suti.stages.shard_pictures import ShardPictures


@dataclass(frozen=True)
class Cluster:
    """What the candidates of one cluster are compared with."""

    rows: Sequence[PictureRow]
    demos_KD: Tensor  # stored CLIP embeddings, rows of unit length


@dataclass(frozen=True)
class Measured:
    """Scores by candidate id, and the embeddings of those candidates that show something."""

    scores: Mapping[str, Scores]
    embeddings: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Seen:
    """One candidate after its picture was looked at; a failed one has no embedding."""

    row_D: Tensor
    small_SS3: NDArray[np.float64]


def measure(
    candidates: Sequence[CandidateRow],
    *,
    clip: ClipEncoder,
    pictures: ShardPictures,
    sources: ShardPictures,
    clusters: Mapping[str, Cluster],
    prompts: Mapping[str, str],
    batch: int,
    progress: Progress = silent,
) -> Measured:
    """Score candidates with one encode for each of them, one for each prompt and none for demonstrations.

    `pictures` are the candidates', `sources` the clusters'; `prompts` are texts by prompt id. A cluster's scores
    depend on nothing outside it: pictures are encoded in batches of one fixed shape.
    """
    wanted = sorted({row.prompt_id for row in candidates})
    texts = dict(zip(wanted, clip.encode_texts([prompts[name] for name in wanted], batch=batch), strict=True))
    seen = _look(candidates, clip=clip, pictures=pictures, batch=batch, progress=progress)
    by_cluster: dict[str, list[CandidateRow]] = {}
    for row in candidates:
        by_cluster.setdefault(row.cluster_id, []).append(row)
    scores: dict[str, Scores] = {row.candidate_id: FAILED for row in candidates}
    for cluster_id, rows in by_cluster.items():
        shown = [row for row in rows if row.candidate_id in seen]
        if shown:
            text_ND = torch.stack([texts[row.prompt_id] for row in shown])
            scores.update(_score(shown, seen, text_ND, clusters[cluster_id], sources))
    return Measured(scores=scores, embeddings={name: one.row_D for name, one in seen.items()})


def _look(
    candidates: Sequence[CandidateRow], *, clip: ClipEncoder, pictures: ShardPictures, batch: int, progress: Progress
) -> dict[str, _Seen]:
    """Every candidate that shows something, by id, each encoded once."""
    seen: dict[str, _Seen] = {}
    for start in range(0, len(candidates), batch):
        rows = candidates[start : start + batch]
        opened = [(row, pictures.open(row)) for row in rows]
        shown = [(row, picture) for row, picture in opened if not shows_nothing(picture)]
        rows_ND = clip.encode_pictures([picture for _, picture in shown], batch=batch)
        for (row, picture), row_D in zip(shown, rows_ND, strict=True):
            if bool(torch.isfinite(row_D).all()):
                seen[row.candidate_id] = _Seen(row_D, low_resolution(picture))
        progress(min(start + batch, len(candidates)), len(candidates), "candidates scored")
    return seen


def _score(
    rows: Sequence[CandidateRow],
    seen: Mapping[str, _Seen],
    text_ND: Tensor,
    cluster: Cluster,
    sources: ShardPictures,
) -> dict[str, Scores]:
    scores = score_cluster(
        text_ND=text_ND,
        image_ND=torch.stack([seen[row.candidate_id].row_D for row in rows]),
        demos_KD=cluster.demos_KD,
        small_NSS3=[seen[row.candidate_id].small_SS3 for row in rows],
        demos_KSS3=np.stack([low_resolution(sources.open(row)) for row in cluster.rows]),
    )
    return dict(zip((row.candidate_id for row in rows), scores, strict=True))
