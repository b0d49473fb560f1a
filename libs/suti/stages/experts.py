"""A shard of captioned clusters gets its experts: each is tuned, draws its candidates, and is done with."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from suti.core import keys
from suti.core.ids import candidate_id
from suti.core.records import CandidateRow, CaptionRow, DropRow, LossRow, PictureRow, PromptRow, Stage
from suti.core.seeds import derive_seed
from suti.infra.ledger import Commit, Ledger
from suti.infra.pictures import PictureTarWriter
from suti.infra.tables import from_parquet, to_parquet
from suti.infra.tombstones import Tombstones, load_tombstones
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.latents import picture_to_tensor
from suti.ml.experts.drawing import Order, draw_candidates
from suti.ml.experts.tuning import ExpertDiverged, tune_expert
from suti.ml.experts.weights import expert_files
from suti.stages.expert_marks import Candidate, ExpertMarks, FinishedExpert, candidate_from
from suti.stages.progress import Preempted, Progress, Stopping, never, silent
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import PictureChanged, ShardPictures

TAR = "candidates.tar"


class ExpertModels(Protocol):
    """The model that this stage uses; `suti.stages.models.StageModels` has it."""

    @property
    def base(self) -> Base: ...  # noqa: D102 - see StageModels


@dataclass(frozen=True)
class _Cluster:
    """What one expert learns from and is asked for."""

    cluster_id: str
    page_url: str
    pictures: Sequence[PictureRow]
    texts: Sequence[str]
    prompts: Sequence[PromptRow]


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

    Every finished expert is marked in the store, so that a shard that was stopped or killed repeats one at most.
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
    clusters = _read_clusters(ledger, shard)
    worker = _Experts(ledger, spec, models, shard, progress=progress, stopping=stopping)
    written = _Written()
    progress(0, len(clusters), "reading")
    for done, cluster in enumerate(clusters, start=1):
        worker.add(cluster, written, place=(done, len(clusters)))
        progress(done, len(clusters), cluster.cluster_id[:12])
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
    """One shard's work, cluster by cluster."""

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
        self._models = models
        self._pictures = ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))
        self._tombstones = load_tombstones(ledger.store)
        self._shard = shard
        self._progress = progress
        self._stopping = stopping

    def add(self, cluster: _Cluster, written: _Written, *, place: tuple[int, int]) -> None:
        """Add one cluster's candidates and losses, or the reason why it has none."""
        allowed = _allowed(cluster, self._tombstones)
        for row in cluster.pictures:
            if row not in allowed:
                written.drops.append(
                    DropRow("picture", row.picture_id, "TOMBSTONED", score=None, detail="", page_url=row.page_url)
                )
        if len(allowed) < self._spec.selection.min_pictures:
            detail = f"{len(allowed)} of {len(cluster.pictures)} pictures are left"
            written.drops.append(_drop(cluster, "TOO_FEW_ALLOWED", detail))
            return
        expert = self.marks.find(cluster.cluster_id, tuned_on=tuple(row.picture_id for row in allowed))
        if expert is None:
            self._stop_if_asked()
            expert = self._finish(cluster, allowed, place=place)
            self.marks.put(cluster.cluster_id, expert)
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

    def _finish(
        self, cluster: _Cluster, allowed: Mapping[PictureRow, str], *, place: tuple[int, int]
    ) -> FinishedExpert:
        """Tune and draw. What went wrong with this cluster alone is an outcome, not an error."""
        base, recipe, environment = self._models.base, self._spec.experts, self._spec.environment
        wanted = [(prompt, sample) for prompt in cluster.prompts for sample in range(recipe.samples_per_prompt)]
        seeds = [self._seed(cluster.cluster_id, prompt.prompt_id, sample) for prompt, sample in wanted]
        tuned_on = tuple(row.picture_id for row in allowed)
        try:
            pictures_PCHW = torch.stack(
                [picture_to_tensor(self._pictures.open(row), base.size_px) for row in allowed]
            ).to(base.device)
            expert = tune_expert(
                base,
                pictures_PCHW,
                list(allowed.values()),
                recipe=recipe,
                seed=self._seed(cluster.cluster_id, "tuning"),
                dtype=environment.dtype,
                callback=lambda step, steps, _loss: self._report(place, "tuning", step, steps),
            )
            drawn = draw_candidates(
                expert,
                [Order(prompt.text, seed) for (prompt, _), seed in zip(wanted, seeds, strict=True)],
                recipe=recipe.sampling,
                dtype=environment.dtype,
                callback=lambda step, steps, _picture: self._report(place, "drawing", step + 1, steps),
            )
            candidates: list[Candidate] = [
                candidate_from(picture_CHW, prompt_id=prompt.prompt_id, sample=sample, seed=seed)
                for picture_CHW, (prompt, sample), seed in zip(drawn, wanted, seeds, strict=True)
            ]
        except (ExpertDiverged, PictureChanged) as error:
            return FinishedExpert(tuned_on, candidates=(), losses=(), drop_reason=error.reason, drop_detail=str(error))
        files = expert_files(expert, recipe)
        return FinishedExpert(tuned_on, candidates=tuple(candidates), losses=expert.losses, files=files)

    def _seed(self, *purpose: str | int) -> int:
        return derive_seed(self._spec.seed, Stage.EXPERTS, *purpose)

    def _report(self, place: tuple[int, int], doing: str, step: int, steps: int) -> None:
        self._stop_if_asked()  # an expert on an accelerator takes minutes, a grace period is half of one
        if step % max(1, steps // 10) == 0:
            self._progress(place[0] - 1, place[1], f"{doing} {step}/{steps}")

    def _stop_if_asked(self) -> None:
        if self._stopping():
            raise Preempted(f"shard {self._shard} of {Stage.EXPERTS}")


def _read_clusters(ledger: Ledger, shard: int) -> list[_Cluster]:
    """The clusters that have texts and prompts; clusters, pictures and prompts sorted by id."""
    selection, captioning = ledger.get(Stage.SELECTION, shard), ledger.get(Stage.CAPTIONING, shard)
    pictures = {
        (row.cluster_id, row.picture_id): row
        for row in from_parquet(ledger.read(selection.part("clusters.parquet")), PictureRow)
    }
    shown: dict[str, list[tuple[PictureRow, str]]] = {}
    for row in from_parquet(ledger.read(captioning.part("captions.parquet")), CaptionRow):
        shown.setdefault(row.cluster_id, []).append((pictures[row.cluster_id, row.picture_id], row.text))
    prompts: dict[str, list[PromptRow]] = {}
    for row in from_parquet(ledger.read(captioning.part("prompts.parquet")), PromptRow):
        prompts.setdefault(row.cluster_id, []).append(row)
    clusters: list[_Cluster] = []
    for name in sorted(shown.keys() & prompts.keys()):
        rows = sorted(shown[name], key=lambda pair: pair[0].picture_id)
        clusters.append(
            _Cluster(
                cluster_id=name,
                page_url=rows[0][0].page_url,
                pictures=[row for row, _ in rows],
                texts=[text for _, text in rows],
                prompts=sorted(prompts[name], key=lambda row: row.prompt_id),
            )
        )
    return clusters


def _allowed(cluster: _Cluster, tombstones: Tombstones) -> dict[PictureRow, str]:
    """The pictures that nobody wants out, with their texts."""
    return {
        row: text for row, text in zip(cluster.pictures, cluster.texts, strict=True) if not tombstones.covers_row(row)
    }


def _drop(cluster: _Cluster, reason: str, detail: str) -> DropRow:
    return DropRow("cluster", cluster.cluster_id, reason, score=None, detail=detail[:1_000], page_url=cluster.page_url)
