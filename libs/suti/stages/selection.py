"""A shard of raw clusters is judged by CLIP: those that show one subject go on."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from suti.core.records import ClusterScoreRow, DropRow, PictureRow, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.tables import from_parquet, to_parquet
from suti.infra.tombstones import Tombstones, load_tombstones
from suti.ml.clip.embeddings import PART as EMBEDDINGS_PART
from suti.ml.clip.embeddings import embeddings_to_bytes
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.clusters.reasons import Drop
from suti.ml.clusters.selection import Selection, select_pictures
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import PictureChanged, ShardPictures


class SelectionModels(Protocol):
    """The model that this stage uses; `suti.stages.models.StageModels` has it."""

    @property
    def clip(self) -> ClipEncoder: ...  # noqa: D102 - see StageModels


@dataclass
class _Written:
    rows: list[PictureRow] = field(default_factory=list[PictureRow])
    scores: list[ClusterScoreRow] = field(default_factory=list[ClusterScoreRow])
    drops: list[DropRow] = field(default_factory=list[DropRow])


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    models: SelectionModels,
    shard: int,
    *,
    progress: Progress = silent,
    fence: str | None = None,
) -> Commit:
    """Encode every picture of the shard once, and keep the clusters whose similarity lies within the recipe's limits.

    Parts: `clusters.parquet` (PictureRow of kept clusters; their `part` is one of grouping's commit),
    `embeddings.safetensors` (CLIP, by picture id, of the kept pictures), `scores.parquet` (ClusterScoreRow of every
    cluster), `drops.parquet` (DropRow: clusters, and pictures of clusters that stay). Counts are in clusters:
    items_in = items_out + dropped, and each reason's own in lower case; beside them pictures_in and pictures_out.

    Raises:
        NotCommitted: grouping is not finished.
        ObjectMissing: grouping made no such shard.
    """
    started = time.monotonic()
    grouping = ledger.get(Stage.GROUPING, 0)
    rows = from_parquet(ledger.read(grouping.part(f"clusters-{shard:06d}.parquet")), PictureRow)
    written = _Written()
    clusters = _clusters(rows, load_tombstones(ledger.store), written)
    embeddings = _encode(
        [row for cluster in clusters.values() for row in cluster],
        pictures=ShardPictures(ledger, grouping),
        clip=models.clip,
        batch=spec.selection.batch_pictures,
        progress=progress,
        written=written,
    )
    for cluster_id, raw in clusters.items():
        encoded = [row for row in raw if row.picture_id in embeddings]
        rows_KD = torch.stack([embeddings[row.picture_id] for row in encoded]) if encoded else torch.empty(0, 1)
        _apply(cluster_id, encoded or raw, select_pictures(rows_KD, spec.selection), written)
    kept = {row.picture_id: embeddings[row.picture_id] for row in written.rows}
    draft = ledger.draft(Stage.SELECTION, shard, fence=fence)
    draft.write("clusters.parquet", to_parquet(written.rows, PictureRow))
    draft.write(
        EMBEDDINGS_PART, embeddings_to_bytes(list(kept), torch.stack(list(kept.values())) if kept else torch.empty(0))
    )
    draft.write("scores.parquet", to_parquet(written.scores, ClusterScoreRow))
    draft.write("drops.parquet", to_parquet(written.drops, DropRow))
    return draft.commit(counts=_counts(rows, written), seconds=time.monotonic() - started)


def _clusters(rows: Sequence[PictureRow], tombstones: Tombstones, written: _Written) -> dict[str, list[PictureRow]]:
    """The shard's clusters and their pictures, both sorted by id, without what was buried since grouping."""
    clusters: dict[str, list[PictureRow]] = {}
    for row in sorted(rows, key=lambda row: (row.cluster_id, row.picture_id)):
        cluster = clusters.setdefault(row.cluster_id, [])
        if tombstones.covers_row(row):
            written.drops.append(_picture_drop(row, Drop.TOMBSTONED, None))
        else:
            cluster.append(row)
    for cluster_id in [name for name, left in clusters.items() if not left]:
        del clusters[cluster_id]
        gone = next(row for row in rows if row.cluster_id == cluster_id)
        _drop_cluster(gone, Drop.TOMBSTONED, None, written)
        written.scores.append(_score(cluster_id, None, pictures=0, kept=0, reason=Drop.TOMBSTONED))
    return clusters


def _encode(
    rows: Sequence[PictureRow],
    *,
    pictures: ShardPictures,
    clip: ClipEncoder,
    batch: int,
    progress: Progress,
    written: _Written,
) -> dict[str, Tensor]:
    """The unit CLIP embedding of each distinct picture, by id. Pictures are opened a batch at a time."""
    distinct = sorted({row.picture_id: row for row in rows}.values(), key=lambda row: row.picture_id)
    embeddings: dict[str, Tensor] = {}
    progress(0, len(distinct), "pictures encoded")
    for start in range(0, len(distinct), batch):
        chosen = distinct[start : start + batch]
        opened = []
        for row in chosen:
            try:
                opened.append((row, pictures.open(row)))
            except PictureChanged as error:
                written.drops.append(_picture_drop(row, Drop.PICTURE_UNREADABLE, None, detail=str(error)))
        if opened:
            rows_ND = clip.encode_pictures([picture for _, picture in opened], batch=batch)
            embeddings.update({row.picture_id: row_D for (row, _), row_D in zip(opened, rows_ND, strict=True)})
        progress(start + len(chosen), len(distinct), "pictures encoded")
    return embeddings


def _apply(cluster_id: str, rows: Sequence[PictureRow], selection: Selection, written: _Written) -> None:
    written.rows += [rows[row] for row in selection.kept]
    written.drops += [_picture_drop(rows[out.row], out.reason, out.score) for out in selection.left_out]
    if selection.reason is not None:
        _drop_cluster(rows[0], selection.reason, selection.similarity, written)
    written.scores.append(
        _score(cluster_id, selection.similarity, pictures=len(rows), kept=len(selection.kept), reason=selection.reason)
    )


def _drop_cluster(row: PictureRow, reason: Drop, score: float | None, written: _Written) -> None:
    written.drops.append(
        DropRow("cluster", row.cluster_id, reason.value, score=score, detail="", page_url=row.page_url)
    )


def _picture_drop(row: PictureRow, reason: Drop, score: float | None, *, detail: str = "") -> DropRow:
    said = f"{row.picture_url} {detail}".strip()
    return DropRow("picture", row.picture_id, reason.value, score=score, detail=said, page_url=row.page_url)


def _score(
    cluster_id: str, similarity: float | None, *, pictures: int, kept: int, reason: Drop | None
) -> ClusterScoreRow:
    return ClusterScoreRow(
        cluster_id=cluster_id,
        similarity=similarity,
        pictures=pictures,
        pictures_kept=kept,
        kept=reason is None,
        reason=reason.value if reason else "KEPT",
    )


def _counts(rows: Sequence[PictureRow], written: _Written) -> dict[str, int]:
    dropped = [row for row in written.drops if row.kind == "cluster"]
    kept = len({row.cluster_id for row in written.rows})
    reasons = Counter(row.reason.lower() for row in dropped)
    return {
        "items_in": kept + len(dropped),
        "items_out": kept,
        "dropped": len(dropped),
        "pictures_in": len(rows),
        "pictures_out": len(written.rows),
        **dict(sorted(reasons.items())),
    }
