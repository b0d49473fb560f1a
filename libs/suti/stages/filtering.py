"""A shard of candidates is judged: every verdict kept with its scores, and replayable at another threshold."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from suti.core.records import (
    CandidateRow,
    CaptionRow,
    DropRow,
    ExampleRow,
    PictureRow,
    PromptRow,
    Stage,
    VerdictRow,
)
from suti.infra.ledger import Commit, Ledger
from suti.infra.tables import Row, from_parquet, to_parquet
from suti.infra.tombstones import load_tombstones
from suti.ml.clip.embeddings import PART as EMBEDDINGS_PART
from suti.ml.clip.embeddings import embeddings_from_bytes, embeddings_to_bytes, rows_of
from suti.ml.clip.encoder import ClipEncoder
from suti.ml.quality.verdicts import Reason, Scores, judge, policy_digest
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import RunSpec
from suti.stages.scoring import Cluster, measure
from suti.stages.shard_pictures import ShardPictures


class FilterModels(Protocol):
    """The model that this stage uses; `suti.stages.models.StageModels` has it."""

    @property
    def clip(self) -> ClipEncoder: ...  # noqa: D102 - see StageModels


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    models: FilterModels,
    shard: int,
    *,
    progress: Progress = silent,
    fence: str | None = None,
) -> Commit:
    """Judge every candidate of the shard, each encoded once; prompts once each, demonstrations not at all.

    Parts: `verdicts.parquet` (VerdictRow, kept and refused alike), `examples.parquet` (ExampleRow, kept),
    `drops.parquet` (DropRow: candidates of clusters that a tombstone covers), `embeddings.safetensors` (by candidate
    id). Counts are in candidates: items_in = items_out + dropped, and each reason's own in lower case.

    Raises:
        NotCommitted: an earlier stage has not finished the shard.
    """
    started = time.monotonic()
    experts = ledger.get(Stage.EXPERTS, shard)
    candidates = _rows(ledger, experts, "candidates.parquet", CandidateRow)
    buried = _buried(ledger, shard)
    allowed = sorted((row for row in candidates if row.cluster_id not in buried), key=lambda row: row.candidate_id)
    prompts = _rows(ledger, ledger.get(Stage.CAPTIONING, shard), "prompts.parquet", PromptRow)
    measured = measure(
        allowed,
        clip=models.clip,
        pictures=ShardPictures(ledger, experts),
        sources=ShardPictures(ledger, ledger.get(Stage.GROUPING, 0)),
        clusters=_clusters(ledger, shard),
        prompts={row.prompt_id: row.text for row in prompts},
        batch=spec.filtering.batch_pictures,
        progress=progress,
    )
    digest = policy_digest(spec.filtering, clip_sha256=models.clip.digest)
    verdicts = [_verdict(row, measured.scores[row.candidate_id], spec, digest) for row in allowed]
    shown = list(measured.embeddings)
    rows_ND = torch.stack([measured.embeddings[name] for name in shown]) if shown else torch.empty(0, models.clip.width)
    return _commit(
        ledger,
        shard,
        verdicts,
        drops=[_tombstoned(row.candidate_id, buried[row.cluster_id]) for row in candidates if row.cluster_id in buried],
        embeddings=embeddings_to_bytes(shown, rows_ND),
        seconds=time.monotonic() - started,
        fence=fence,
        details={
            "clip_sha256": models.clip.digest,
            "policy_digest": digest,
            "device": models.clip.device.type,
        },
    )


def replay(
    ledger: Ledger,
    spec: RunSpec,
    shard: int,
    *,
    parent: Ledger,
    progress: Progress = silent,
    fence: str | None = None,
) -> Commit:
    """Judge a parent run's candidates anew at this run's thresholds, from the stored scores and without any model.

    The parts are those of `run_shard`; the commit's details name the parent. The parent's thresholds give the
    parent's verdicts.

    Raises:
        NotCommitted: the parent has not filtered the shard.
    """
    started = time.monotonic()
    before = parent.get(Stage.FILTERING, shard)
    rows = _rows(parent, before, "verdicts.parquet", VerdictRow)
    clip = before.details["clip_sha256"]
    digest = policy_digest(spec.filtering, clip_sha256=clip)
    buried = _buried(parent, shard)
    verdicts = [_verdict(row, _scores(row), spec, digest) for row in rows if row.cluster_id not in buried]
    progress(len(rows), len(rows), "verdicts judged anew")
    return _commit(
        ledger,
        shard,
        verdicts,
        drops=[_tombstoned(row.candidate_id, buried[row.cluster_id]) for row in rows if row.cluster_id in buried],
        embeddings=parent.read(before.part(EMBEDDINGS_PART)),
        seconds=time.monotonic() - started,
        fence=fence,
        details={"clip_sha256": clip, "policy_digest": digest, "parent_run_id": parent.run_id},
    )


def _rows[R: Row](ledger: Ledger, commit: Commit, part: str, row_type: type[R]) -> list[R]:
    return from_parquet(ledger.read(commit.part(part)), row_type)


def _clusters(ledger: Ledger, shard: int) -> dict[str, Cluster]:
    """The captioned pictures of each cluster (what its expert was shown), with their stored embeddings."""
    selection = ledger.get(Stage.SELECTION, shard)
    embeddings = embeddings_from_bytes(ledger.read(selection.part(EMBEDDINGS_PART)))
    captions = _rows(ledger, ledger.get(Stage.CAPTIONING, shard), "captions.parquet", CaptionRow)
    captioned = {(row.cluster_id, row.picture_id) for row in captions}
    by_cluster: dict[str, list[PictureRow]] = {}
    rows = _rows(ledger, selection, "clusters.parquet", PictureRow)
    for row in sorted(rows, key=lambda row: (row.cluster_id, row.picture_id)):
        if (row.cluster_id, row.picture_id) in captioned:
            by_cluster.setdefault(row.cluster_id, []).append(row)
    return {
        cluster_id: Cluster(rows=rows, demos_KD=rows_of(embeddings, [row.picture_id for row in rows]))
        for cluster_id, rows in by_cluster.items()
    }


def _buried(ledger: Ledger, shard: int) -> dict[str, str]:
    """Page URLs by id of those clusters of which a tombstone covers the page or a captioned picture.

    Their experts have learnt from what is to be forgotten, so nothing that they drew may be used.
    """
    tombstones = load_tombstones(ledger.store)
    if not tombstones.urls and not tombstones.picture_ids:
        return {}
    return {
        cluster_id: cluster.rows[0].page_url
        for cluster_id, cluster in _clusters(ledger, shard).items()
        if any(tombstones.covers_row(row) for row in cluster.rows)
    }


def _tombstoned(candidate_id: str, page_url: str) -> DropRow:
    return DropRow(kind="candidate", id=candidate_id, reason="TOMBSTONED", score=None, detail="", page_url=page_url)


def _verdict(row: CandidateRow | VerdictRow, scores: Scores, spec: RunSpec, digest: str) -> VerdictRow:
    reason = judge(scores, spec.filtering)
    return VerdictRow(
        candidate_id=row.candidate_id,
        cluster_id=row.cluster_id,
        prompt_id=row.prompt_id,
        kept=reason is Reason.KEPT,
        reason=reason.value,
        gain=scores.gain,
        prompt_similarity=scores.prompt_similarity,
        copy_similarity=scores.copy_similarity,
        policy_digest=digest,
        copy_difference=scores.copy_difference,
    )


def _scores(row: VerdictRow) -> Scores:
    return Scores(
        gain=row.gain,
        prompt_similarity=row.prompt_similarity,
        copy_similarity=row.copy_similarity,
        copy_difference=row.copy_difference,
        failed=row.reason == Reason.PICTURE_FAILED,
    )


def _commit(
    ledger: Ledger,
    shard: int,
    verdicts: Sequence[VerdictRow],
    *,
    drops: Sequence[DropRow],
    embeddings: bytes,
    seconds: float,
    fence: str | None,
    details: Mapping[str, str],
) -> Commit:
    kept = [
        ExampleRow(row.candidate_id, cluster_id=row.cluster_id, prompt_id=row.prompt_id, shard=shard)
        for row in verdicts
        if row.kept
    ]
    reasons = Counter(row.reason.lower() for row in (*verdicts, *drops))
    draft = ledger.draft(Stage.FILTERING, shard, fence=fence)
    draft.write("verdicts.parquet", to_parquet(verdicts, VerdictRow))
    draft.write("examples.parquet", to_parquet(kept, ExampleRow))
    draft.write("drops.parquet", to_parquet(drops, DropRow))
    draft.write(EMBEDDINGS_PART, embeddings)
    total = len(verdicts) + len(drops)
    counts = {"items_in": total, "items_out": len(kept), "dropped": total - len(kept), **reasons}
    return draft.commit(counts=counts, seconds=seconds, details=details)
