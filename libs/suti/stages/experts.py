"""A shard of captioned clusters gets its experts: each is tuned, draws its candidates, and is done with.

They go in groups of the recipe's `together`; a group is a matter of the clusters' order alone, so that a shard that
was stopped or killed anywhere ends with the same bytes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from suti.core import keys
from suti.core.ids import candidate_id
from suti.core.records import CandidateRow, DropRow, LossRow, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.pictures import PictureTarWriter
from suti.infra.tables import to_parquet
from suti.infra.tombstones import load_tombstones
from suti.ml.diffusion.base import Base
from suti.stages.expert_clusters import Cluster, read_clusters
from suti.stages.expert_marks import ExpertMarks, FinishedExpert
from suti.stages.expert_tuning import ExpertTuning
from suti.stages.progress import Preempted, Progress, Stopping, never, silent
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import ShardPictures

TAR = "candidates.tar"


class ExpertModels(Protocol):
    """The model that this stage uses; `suti.stages.models.StageModels` has it."""

    @property
    def base(self) -> Base: ...  # noqa: D102 - see StageModels


@dataclass
class _Written:
    candidates: list[CandidateRow] = field(default_factory=list[CandidateRow])
    losses: list[LossRow] = field(default_factory=list[LossRow])
    drops: list[DropRow] = field(default_factory=list[DropRow])
    tar: PictureTarWriter = field(default_factory=PictureTarWriter)


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    models: ExpertModels,
    shard: int,
    *,
    progress: Progress = silent,
    fence: str | None = None,
    stopping: Stopping = never,
) -> Commit:
    """Tune one expert for every captioned cluster of the shard and keep what it draws.

    Every finished group of experts is marked in the store, so that a shard that was stopped or killed repeats one
    group at most; one by one, that is one expert.
    Sets torch's number of threads for the whole process, as the run's environment says.

    Parts: `candidates.parquet` (CandidateRow), `candidates.tar` (PNG), `losses.parquet` (LossRow), `drops.parquet`
    (DropRow); `experts/<cluster>/...` where the recipe keeps weights. Counts are in clusters: items_in = items_out +
    dropped; `candidates_out` beside them.

    Raises:
        NotCommitted: captioning has not finished the shard.
        Preempted: `stopping` said so; the same call goes on from there.
    """
    started = time.monotonic()
    torch.set_num_threads(spec.environment.torch_threads)
    clusters = read_clusters(ledger, shard)
    worker = _Experts(ledger, spec, models, shard, progress=progress, stopping=stopping)
    written = _Written()
    progress(0, len(clusters), "reading")
    together = spec.experts.together
    for first in range(0, len(clusters), together):
        worker.add(clusters[first : first + together], written, place=(first, len(clusters)))
    refused = {row.id for row in written.drops if row.kind == "cluster"}
    draft = ledger.draft(Stage.EXPERTS, shard, fence=fence)
    draft.write("candidates.parquet", to_parquet(written.candidates, CandidateRow))
    draft.write(TAR, written.tar.finish())
    draft.write("losses.parquet", to_parquet(written.losses, LossRow))
    draft.write("drops.parquet", to_parquet(written.drops, DropRow))
    for name, data in worker.marks.weights({row.cluster_id for row in written.candidates}):
        draft.write(name, data)
    counts = {
        "items_in": len(clusters),
        "items_out": len(clusters) - len(refused),
        "dropped": len(refused),
        "candidates_out": len(written.candidates),
    }
    details = {"device": next(models.base.unet.parameters()).device.type}
    commit = draft.commit(counts=counts, seconds=time.monotonic() - started, details=details)
    worker.marks.clear()
    return commit


class _Experts:
    """One shard's work, group by group."""

    def __init__(
        self,
        ledger: Ledger,
        spec: RunSpec,
        models: ExpertModels,
        shard: int,
        *,
        progress: Progress,
        stopping: Stopping,
    ) -> None:
        self.marks = ExpertMarks(ledger.store, keys.scratch(ledger.run_id, Stage.EXPERTS, shard, ""))
        self._spec = spec
        pictures = ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))
        self._tuning = ExpertTuning(spec, models.base, pictures, report=self._report)
        self._tombstones = load_tombstones(ledger.store)
        self._shard = shard
        self._progress = progress
        self._stopping = stopping
        self._place = (0, 0)

    def add(self, group: Sequence[Cluster], written: _Written, *, place: tuple[int, int]) -> None:
        """Add a group's candidates and losses, or the reasons why it has none."""
        self._place = place
        allowed = [cluster.without(self._tombstones) for cluster in group]
        members = [one for one in allowed if len(one.pictures) >= self._spec.selection.min_pictures]
        experts = dict(zip([one.cluster_id for one in members], self._experts(members), strict=True))
        for done, (cluster, rest) in enumerate(zip(group, allowed, strict=True), start=place[0] + 1):
            for row in cluster.pictures:
                if row not in rest.pictures:
                    written.drops.append(
                        DropRow("picture", row.picture_id, "TOMBSTONED", score=None, detail="", page_url=row.page_url)
                    )
            if cluster.cluster_id in experts:
                _write(cluster, experts[cluster.cluster_id], written)
            else:
                detail = f"{len(rest.pictures)} of {len(cluster.pictures)} pictures are left"
                written.drops.append(_drop(cluster, "TOO_FEW_ALLOWED", detail))
            self._progress(done, place[1], cluster.cluster_id[:12])

    def _experts(self, members: Sequence[Cluster]) -> list[FinishedExpert]:
        """The group's finished experts; those that are marked, or all of them anew."""
        if not members:
            return []
        together = self._spec.experts.together > 1
        company = tuple(one.cluster_id for one in members) if together else ()
        found = [self.marks.find(one.cluster_id, tuned_on=one.picture_ids, tuned_with=company) for one in members]
        marked = [expert for expert in found if expert is not None]
        if len(marked) == len(members):
            return marked
        self._stop_if_asked()
        experts = self._tuning.together(members) if together else [self._tuning.alone(members[0])]
        for cluster, expert in zip(members, experts, strict=True):
            self.marks.put(cluster.cluster_id, expert)
        return experts

    def _report(self, doing: str, step: int, steps: int) -> None:
        self._stop_if_asked()  # an expert on an accelerator takes minutes, a grace period is half of one
        if step % max(1, steps // 10) == 0:
            self._progress(*self._place, f"{doing} {step}/{steps}")

    def _stop_if_asked(self) -> None:
        if self._stopping():
            raise Preempted(f"shard {self._shard} of {Stage.EXPERTS}")


def _write(cluster: Cluster, expert: FinishedExpert, written: _Written) -> None:
    """Add one finished expert's rows and pictures."""
    if expert.drop_reason:
        written.drops.append(_drop(cluster, expert.drop_reason, expert.drop_detail))
    written.losses.extend(LossRow(cluster.cluster_id, step, loss) for step, loss in enumerate(expert.losses, 1))
    for candidate in expert.candidates:
        name = candidate_id(cluster.cluster_id, candidate.prompt_id, candidate.sample)
        offset, size_bytes = written.tar.add(f"{name}.png", candidate.png)
        written.candidates.append(
            CandidateRow(
                candidate_id=name,
                cluster_id=cluster.cluster_id,
                prompt_id=candidate.prompt_id,
                sample=candidate.sample,
                seed=candidate.seed,
                pixels_sha256=candidate.pixels_sha256,
                part=TAR,
                offset=offset,
                size_bytes=size_bytes,
            )
        )


def _drop(cluster: Cluster, reason: str, detail: str) -> DropRow:
    return DropRow("cluster", cluster.cluster_id, reason, score=None, detail=detail[:1_000], page_url=cluster.page_url)
