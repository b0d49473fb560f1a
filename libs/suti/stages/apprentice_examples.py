"""What a run's apprentice learns from: kept candidates beside their clusters, read from every judged shard.

Legend: P pictures, C channels, H height, W width in model space.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from suti.core.records import (
    CandidateRow,
    CaptionRow,
    DropRow,
    ExampleRow,
    PictureRow,
    PromptRow,
    Stage,
)
from suti.infra.ledger import Ledger
from suti.infra.store import Store
from suti.infra.tombstones import Tombstones, load_tombstones
from suti.ml.apprentice.examples import ExampleSet, NoExamples, Shown, SubjectExamples
from suti.ml.diffusion.base import Base
from suti.ml.diffusion.latents import to_model_space
from suti.ml.diffusion.pixels import picture_to_tensor, to_pixels
from suti.stages.lineage import ShardRows, ledger_of
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import ShardPictures


@dataclass(frozen=True)
class KeptCluster:
    """One cluster with candidates that were kept, everything in it sorted by id."""

    cluster_id: str
    shard: int
    demonstrations: Sequence[tuple[PictureRow, str]]  # with refined texts
    targets: Sequence[tuple[CandidateRow, str]]  # with prompts


@dataclass(frozen=True)
class KeptExamples:
    """All that a run's apprentice learns from, clusters sorted by id; `drops` are kept examples taken out here."""

    clusters: Sequence[KeptCluster]
    drops: Sequence[DropRow]

    @property
    def count(self) -> int:
        """Targets in all."""
        return sum(len(cluster.targets) for cluster in self.clusters)

    def digest(self) -> str:
        """SHA-256 (hex) over ids, pixels and texts in order: equal examples make an equal training."""
        total = hashlib.sha256()
        for cluster in self.clusters:
            rows = [*cluster.demonstrations, *cluster.targets]
            for row, text in rows:
                total.update(f"{cluster.cluster_id}\x1f{row.pixels_sha256}\x1f{text}\x1e".encode())
        return total.hexdigest()


def read_examples(store: Store, spec: RunSpec) -> KeptExamples:
    """The kept candidates of every committed shard, those of tombstoned clusters as drops.

    Raises:
        NotCommitted: a shard was judged without an earlier stage being there.
    """
    tombstones = load_tombstones(store)
    clusters: list[KeptCluster] = []
    drops: list[DropRow] = []
    for commit in Ledger(store, spec.run_id).commits(Stage.FILTERING):
        for cluster in _of_shard(ShardRows(store, spec, commit.shard)):
            if _buried(cluster, tombstones):
                page_url = cluster.demonstrations[0][0].page_url
                drops += [
                    DropRow("candidate", row.candidate_id, "TOMBSTONED", score=None, detail="", page_url=page_url)
                    for row, _ in cluster.targets
                ]
            else:
                clusters.append(cluster)
    return KeptExamples(sorted(clusters, key=lambda cluster: cluster.cluster_id), drops)


def build_example_set(store: Store, spec: RunSpec, base: Base, examples: KeptExamples) -> ExampleSet:
    """The examples laid out for training: pictures at the base's own size, each text encoded once.

    Raises:
        NoExamples: there is none.
        PictureChanged: the store has other pixels than were judged.
    """
    if not examples.clusters:
        raise NoExamples("no example was kept: lower filtering.min_gain or look at the verdicts (suti run why)")
    laid = _Laid(base)
    sources = ShardPictures(ledger := ledger_of(store, spec, Stage.GROUPING), ledger.get(Stage.GROUPING, 0))
    subjects: list[SubjectExamples] = []
    drawn: dict[int, ShardPictures] = {}
    for cluster in examples.clusters:
        if cluster.shard not in drawn:
            experts = ledger_of(store, spec, Stage.EXPERTS)
            drawn[cluster.shard] = ShardPictures(experts, experts.get(Stage.EXPERTS, cluster.shard))
        candidates = drawn[cluster.shard]
        subjects.append(
            SubjectExamples(
                demonstrations=tuple(laid.add(sources.open(row), text) for row, text in cluster.demonstrations),
                targets=tuple(laid.add(candidates.open(row), text) for row, text in cluster.targets),
            )
        )
    return ExampleSet(
        pictures_PCHW=torch.stack(laid.pictures), texts=base.text.encode([*laid.texts, ""]), subjects=subjects
    )


@dataclass
class _Laid:
    """Pictures and texts so far, each once."""

    base: Base
    pictures: list[Tensor] = field(default_factory=list[Tensor])
    texts: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, picture: Image.Image, text: str) -> Shown:
        pixels_CHW = picture_to_tensor(picture, self.base.size_px)
        if self.base.vae is None:
            self.pictures.append(to_pixels(pixels_CHW))
        else:
            self.pictures.append(to_model_space(self.base, pixels_CHW.unsqueeze(0))[0].float())
        return Shown(len(self.pictures) - 1, self.texts.setdefault(text, len(self.texts)))


def _of_shard(rows: ShardRows) -> list[KeptCluster]:
    kept = rows.read(Stage.FILTERING, "examples.parquet", ExampleRow)
    if not kept:
        return []
    candidates = {row.candidate_id: row for row in rows.read(Stage.EXPERTS, "candidates.parquet", CandidateRow)}
    prompts = {row.prompt_id: row.text for row in rows.read(Stage.CAPTIONING, "prompts.parquet", PromptRow)}
    shown = _demonstrations(rows)
    targets: dict[str, list[tuple[CandidateRow, str]]] = {}
    for row in sorted(kept, key=lambda row: row.candidate_id):
        targets.setdefault(row.cluster_id, []).append((candidates[row.candidate_id], prompts[row.prompt_id]))
    return [KeptCluster(name, rows.shard, shown[name], targets[name]) for name in sorted(targets)]


def _demonstrations(rows: ShardRows) -> Mapping[str, Sequence[tuple[PictureRow, str]]]:
    pictures = {
        (row.cluster_id, row.picture_id): row for row in rows.read(Stage.SELECTION, "clusters.parquet", PictureRow)
    }
    shown: dict[str, list[tuple[PictureRow, str]]] = {}
    captions = rows.read(Stage.CAPTIONING, "captions.parquet", CaptionRow)
    for row in sorted(captions, key=lambda row: (row.cluster_id, row.picture_id)):
        shown.setdefault(row.cluster_id, []).append((pictures[row.cluster_id, row.picture_id], row.text))
    return shown


def _buried(cluster: KeptCluster, tombstones: Tombstones) -> bool:
    """Whether something that the cluster's expert has seen is to be forgotten."""
    return any(tombstones.covers_row(row) for row, _ in cluster.demonstrations)
