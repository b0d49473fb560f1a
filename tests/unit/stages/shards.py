"""A small run on a real store in a local folder, filled up to where a stage begins."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from suti.core import ids
from suti.core.model_rules import OFFERED_ALONE, ModelRules
from suti.core.records import CandidateRow, PictureRow, PromptRow, Stage
from suti.infra.ledger import Commit, Ledger
from suti.infra.pictures import PictureTarWriter
from suti.infra.store import Store
from suti.infra.tables import from_parquet, to_parquet
from suti.ml.captions.endpoints import NO_ENDPOINTS, Endpoints
from suti.ml.captions.recipe import CaptioningRecipe
from suti.ml.clip.embeddings import PART, embeddings_to_bytes
from suti.ml.clip.encoder import ClipEncoder
from suti.stages.models import ModelFolders, StageModels
from suti.stages.run_spec import CrawlInput, ModelRef, Models, RunSpec
from tests.unit.ml.clip.tiny import save_tiny_clip

PICTURES_PER_CLUSTER = 3
BUILT_IN = CaptioningRecipe(captioner="tags", rewriter="grammar", prompts_per_cluster=2)


@dataclass
class Run:
    """A run's ledger, description and models."""

    ledger: Ledger
    spec: RunSpec
    models: StageModels
    clusters: list[str] = field(default_factory=list[str])


def png(picture: Image.Image) -> bytes:
    """A picture as the stages store it."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def noise(seed: int) -> Image.Image:
    """A picture of coloured blocks."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((16, 16), Image.Resampling.NEAREST)


def open_run(
    folder: Path,
    *,
    captioning: CaptioningRecipe = BUILT_IN,
    rules: ModelRules = OFFERED_ALONE,
    endpoints: Endpoints = NO_ENDPOINTS,
) -> Run:
    """An empty run on a new store, with a tiny CLIP."""
    clip = save_tiny_clip(folder / "models" / "clip")
    run_id = ids.new_run_id()
    spec = RunSpec(
        run_id=run_id,
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
        created_by="test",
        seed=7,
        input=CrawlInput(url="file:///nowhere", format="warc"),
        models=Models(base=ModelRef(name="base"), clip=ModelRef(name=clip.name)),
        captioning=captioning,
    )
    ledger = Ledger(Store.open(f"file://{folder / 'store'}"), run_id)
    return Run(ledger, spec, StageModels(spec, ModelFolders([folder / "models"], rules), endpoints=endpoints))


def select(run: Run, pages: Sequence[Sequence[str]]) -> None:
    """Commit grouping and selection: a cluster per page, a picture per alt text."""
    tar = PictureTarWriter()
    rows: list[PictureRow] = []
    pictures: dict[str, Image.Image] = {}
    for page, alt_texts in enumerate(pages):
        url = f"https://shop.example/{page}"
        shown = {
            ids.picture_id(f"{page}/{index}".encode()): noise(100 * page + index) for index in range(len(alt_texts))
        }
        cluster = ids.cluster_id(url, shown)
        run.clusters.append(cluster)
        for (name, picture), alt_text in zip(shown.items(), alt_texts, strict=True):
            offset, size = tar.add(f"{name}.png", png(picture))
            pictures[name] = picture
            rows.append(
                PictureRow(
                    picture_id=name,
                    cluster_id=cluster,
                    page_url=url,
                    picture_url=f"{url}/{name[:8]}.png",
                    alt_text=alt_text,
                    fetched_at="",
                    licence="",
                    width_px=16,
                    height_px=16,
                    pixels_sha256=hashlib.sha256(picture.tobytes()).hexdigest(),
                    part="pictures-000000.tar",
                    offset=offset,
                    size_bytes=size,
                )
            )
    draft = run.ledger.draft(Stage.GROUPING, 0)
    draft.write("pictures-000000.tar", tar.finish())
    draft.commit(counts={"shards": 1, **_all_of(len(rows))}, seconds=0)
    draft = run.ledger.draft(Stage.SELECTION, 0)
    draft.write("clusters.parquet", to_parquet(rows, PictureRow))
    rows_ND = run.models.clip.encode_pictures(list(pictures.values()))
    draft.write(PART, embeddings_to_bytes(list(pictures), rows_ND))
    draft.commit(counts=_all_of(len(pages)), seconds=0)


def draw(run: Run, pictures: Sequence[tuple[str, Image.Image]]) -> Commit:
    """Commit the experts' stage: each picture a candidate for the first prompt of its cluster."""
    captioned = run.ledger.get(Stage.CAPTIONING, 0)
    prompts = from_parquet(run.ledger.read(captioned.part("prompts.parquet")), PromptRow)
    first = {row.cluster_id: row.prompt_id for row in reversed(prompts)}
    tar = PictureTarWriter()
    rows: list[CandidateRow] = []
    for sample, (cluster, picture) in enumerate(pictures):
        name = ids.candidate_id(cluster, first[cluster], sample)
        offset, size = tar.add(f"{name}.png", png(picture))
        sha256 = hashlib.sha256(picture.tobytes()).hexdigest()
        rows.append(
            CandidateRow(
                name, cluster, first[cluster], sample, 0, sha256, "candidates.tar", offset=offset, size_bytes=size
            )
        )
    draft = run.ledger.draft(Stage.EXPERTS, 0)
    draft.write("candidates.tar", tar.finish())
    draft.write("candidates.parquet", to_parquet(rows, CandidateRow))
    return draft.commit(counts=_all_of(len(first)), seconds=0)


def cosine(clip: ClipEncoder, picture: Image.Image, text: str) -> float:
    """CLIP similarity by another way than the stages': one picture, one text, torch's own cosine."""
    one, other = clip.encode_pictures([picture], batch=1, pad=False), clip.encode_texts([text], batch=1, pad=False)
    return float(F.cosine_similarity(one.to(torch.float64), other.to(torch.float64)))


def _all_of(items: int) -> dict[str, int]:
    """The counts of a stage that drops nothing."""
    return {"items_in": items, "items_out": items, "dropped": 0}
