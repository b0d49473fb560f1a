"""What a run would take, before anything starts. Upper bounds: as if every page became a cluster and all were kept.

Hours are floating-point operations over a rate: an accelerator does 100e12 a second (an A100 in bfloat16, two fifths
busy), a core 20e9. A training pass costs three forward passes. A PNG has 0.6 of its pixels' bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from suti.core.records import Stage
from suti.stages.base_size import BaseSize
from suti.stages.crawl_counts import CrawlCounts
from suti.stages.run_spec import RunSpec

ACCELERATOR_FLOPS = 100e12
CORE_FLOPS = 20e9
TRAINING_PASSES = 3
PNG_SHARE = 0.6
_ROW_BYTES = 300  # a row of a table, packed
_EMBEDDING_BYTES = 4 * 768
_CLIP_FLOP = 160e9  # one picture through ViT-L/14 at 224 pixels
_DECODE_CORE_S = 0.02  # one picture decoded, hashed and packed again


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What one stage would take. Accelerator and core hours of experts and apprentice are one or the other."""

    stage: Stage
    items_in: int
    shards: int
    pods: int
    accelerator_hours: float
    core_hours: float
    read_bytes: int
    written_bytes: int
    basis: str


def plan_run(spec: RunSpec, counts: CrawlCounts, base: BaseSize, *, accelerators: int) -> list[StagePlan]:
    """Every stage's plan, in order. Pure."""
    least = spec.grouping.min_pictures
    clusters = min(counts.pages or counts.pictures // least, counts.pictures // least)
    shown = min(counts.pictures, clusters * spec.selection.max_pictures)
    shards = ceil(clusters / spec.grouping.shard_clusters)
    picture_bytes = round(spec.grouping.store_side_px**2 * 3 * PNG_SHARE)
    drawn_bytes = round(max(base.side, 1) ** 2 * 3 * PNG_SHARE)
    experts, candidates = spec.experts, clusters * spec.captioning.prompts_per_cluster * spec.experts.samples_per_prompt
    tuning = experts.steps * experts.batch_pictures * TRAINING_PASSES
    branches = 1 if experts.sampling.guidance == 1 else 2
    drawing = spec.captioning.prompts_per_cluster * experts.samples_per_prompt * experts.sampling.steps * branches
    expert_flop = clusters * (tuning + drawing) * base.pass_flop
    kept_weights = clusters * base.parameters * 4 if experts.keep_experts == "all" else 0
    apprentice = spec.apprentice
    seen = apprentice.steps * apprentice.batch_subjects
    # Demonstrations pass once through half of the network, targets through all of it.
    passes = seen * (apprentice.targets_per_subject + apprentice.demonstrations / 2) * TRAINING_PASSES
    clip_hours = shown * _CLIP_FLOP / CORE_FLOPS / 3600
    return [
        _plan(
            Stage.GROUPING, counts.pictures, 1, 1, core_hours=counts.pictures * _DECODE_CORE_S / 3600,
            read=counts.size_bytes, written=counts.pictures * picture_bytes,
            basis=f"{counts.pages or '?'} pages, {counts.pictures} pictures"
            + ("" if counts.whole else ", from the crawl's beginning"),
        ),
        _plan(
            Stage.SELECTION, clusters, shards, shards, core_hours=clip_hours, read=counts.pictures * picture_bytes,
            written=shown * (_EMBEDDING_BYTES + _ROW_BYTES), basis="one CLIP pass for each picture",
        ),
        _plan(
            Stage.CAPTIONING, clusters, shards, shards, core_hours=shown * 0.01 / 3600,
            read=shown * (_EMBEDDING_BYTES + _ROW_BYTES), written=(shown + candidates) * _ROW_BYTES,
            basis=f"{spec.captioning.prompts_per_cluster} prompts for each cluster; a large captioner is not counted",
        ),
        _plan(
            Stage.EXPERTS, clusters, shards, min(accelerators, shards), flop=expert_flop,
            read=shown * picture_bytes, written=candidates * drawn_bytes + kept_weights,
            basis=f"each expert: {experts.steps} steps of {experts.batch_pictures}, then {drawing} passes to draw; "
            "accelerator hours or core hours",
        ),
        _plan(
            Stage.FILTERING, candidates, shards, shards, core_hours=candidates * _CLIP_FLOP / CORE_FLOPS / 3600,
            read=candidates * drawn_bytes, written=candidates * (_EMBEDDING_BYTES + _ROW_BYTES),
            basis="one CLIP pass for each candidate",
        ),
        _plan(
            Stage.APPRENTICE, candidates, 1, 1, flop=passes * base.pass_flop,
            read=shown * picture_bytes + candidates * drawn_bytes, written=base.parameters * 2,
            basis=f"{apprentice.steps} steps of {apprentice.batch_subjects} clusters; accelerator hours or core hours",
        ),
    ]  # fmt: skip


def plan_warnings(spec: RunSpec, counts: CrawlCounts, base: BaseSize) -> Sequence[str]:
    """What should be thought of before starting."""
    found: list[str] = []
    if not counts.known:
        found.append(f"{spec.input.url} cannot be counted from here: all numbers are 0, plan a local part of it")
    elif counts.pictures < spec.grouping.min_pictures:
        found.append(f"the crawl has {counts.pictures} pictures: the run will end as EMPTY")
    if not base.parameters:
        found.append(f"base {spec.models.base.name!r} tells no size: hours are 0")
    if spec.experts.keep_experts == "all":
        found.append("keep_experts=all stores a whole model for each cluster: none or lora is enough for the paper")
    return found


def _plan(
    stage: Stage,
    items_in: int,
    shards: int,
    pods: int,
    *,
    read: int,
    written: int,
    basis: str,
    core_hours: float = 0.0,
    flop: float = 0.0,
) -> StagePlan:
    return StagePlan(
        stage=stage,
        items_in=items_in,
        shards=shards,
        pods=pods,
        accelerator_hours=flop / ACCELERATOR_FLOPS / 3600,
        core_hours=core_hours or flop / CORE_FLOPS / 3600,
        read_bytes=read,
        written_bytes=written,
        basis=basis,
    )
