"""A shard of selected clusters gets its texts: captions, refined texts, target prompts."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from suti.core.errors import PermanentError
from suti.core.ids import prompt_id
from suti.core.records import CaptionRow, DropRow, PictureRow, PromptRow, Stage
from suti.core.seeds import derive_seed
from suti.infra.ledger import Commit, Ledger
from suti.infra.tables import from_parquet, to_parquet
from suti.infra.tombstones import load_tombstones
from suti.ml.captions.alt_text import clean
from suti.ml.captions.interfaces import AnswerUnusable, Captioner, EmbeddingCaptioner, Rewriter
from suti.stages.progress import Progress, silent
from suti.stages.run_spec import RunSpec
from suti.stages.shard_pictures import PictureChanged, ShardPictures

if TYPE_CHECKING:
    from torch import Tensor


class CaptionModels(Protocol):
    """The models that this stage uses; `suti.stages.models.StageModels` has them."""

    @property
    def captioner(self) -> Captioner: ...  # noqa: D102 - see StageModels
    @property
    def rewriter(self) -> Rewriter: ...  # noqa: D102


class Screen(Protocol):
    """Refuses what must not be learnt from. Off unless a deployment brings one."""

    def refuse_picture(self, picture: Image.Image) -> str | None:
        """The reason for refusing a picture, None to let it through."""
        ...

    def refuse_prompt(self, text: str) -> str | None:
        """The reason for refusing a target prompt, None to let it through."""
        ...


@dataclass
class _Written:
    captions: list[CaptionRow] = field(default_factory=list[CaptionRow])
    prompts: list[PromptRow] = field(default_factory=list[PromptRow])
    drops: list[DropRow] = field(default_factory=list[DropRow])


def run_shard(
    ledger: Ledger,
    spec: RunSpec,
    models: CaptionModels,
    shard: int,
    *,
    progress: Progress = silent,
    fence: str | None = None,
    screen: Screen | None = None,
) -> Commit:
    """Write captions, refined texts and target prompts for every cluster of the shard, or why it has none.

    Parts: `captions.parquet` (CaptionRow), `prompts.parquet` (PromptRow), `drops.parquet` (DropRow). Counts are in
    clusters: items_in = items_out + dropped; `pictures_out` and `prompts_out` beside them.

    Raises:
        NotCommitted: selection has not finished the shard.
        EndpointUnavailable: retry later; whatever else the models raise. An answer that makes no sense drops its
            cluster alone.
    """
    started = time.monotonic()
    selection = ledger.get(Stage.SELECTION, shard)
    clusters = list(_clusters(from_parquet(ledger.read(selection.part("clusters.parquet")), PictureRow)))
    worker = _Captioning(ledger, spec, models, selection, screen)
    written = _Written()
    progress(0, len(clusters), "reading")
    for done, rows in enumerate(clusters, start=1):
        worker.caption(rows, written)
        progress(done, len(clusters), rows[0].cluster_id[:12])
    refused = {row.id for row in written.drops if row.kind == "cluster"}
    draft = ledger.draft(Stage.CAPTIONING, shard, fence=fence)
    draft.write("captions.parquet", to_parquet(written.captions, CaptionRow))
    draft.write("prompts.parquet", to_parquet(written.prompts, PromptRow))
    draft.write("drops.parquet", to_parquet(written.drops, DropRow))
    counts = {
        "items_in": len(clusters),
        "items_out": len(clusters) - len(refused),
        "dropped": len(refused),
        "pictures_out": len(written.captions),
        "prompts_out": len(written.prompts),
    }
    return draft.commit(counts=counts, seconds=time.monotonic() - started)


class _Captioning:
    """One shard's work, cluster by cluster."""

    def __init__(
        self, ledger: Ledger, spec: RunSpec, models: CaptionModels, selection: Commit, screen: Screen | None
    ) -> None:
        self._spec = spec
        self._models = models
        self._screen = screen
        self._pictures = ShardPictures(ledger, ledger.get(Stage.GROUPING, 0))
        self._tombstones = load_tombstones(ledger.store)
        self._embeddings: dict[str, Tensor] = {}
        if isinstance(models.captioner, EmbeddingCaptioner):
            from suti.ml.clip import embeddings  # noqa: PLC0415 - endpoints caption without torch

            self._embeddings = embeddings.embeddings_from_bytes(ledger.read(selection.part(embeddings.PART)))

    def caption(self, rows: Sequence[PictureRow], written: _Written) -> None:
        """Add one cluster's rows, or the reason why it has none."""
        try:
            allowed = self._allowed(rows, written)
            if len(allowed) < self._spec.selection.min_pictures:
                raise _Refused("TOO_FEW_ALLOWED", f"{len(allowed)} of {len(rows)} pictures are left")
            captions = self._captions(allowed)
            alt_texts = [clean(row.alt_text) for row in allowed]
            texts = self._models.rewriter.refine(alt_texts, captions)
            prompts = self._prompts(rows[0], [*alt_texts, *captions, *texts], texts, written)
        except (_Refused, AnswerUnusable, PictureChanged) as error:
            reason = error.why if isinstance(error, _Refused) else error.reason
            written.drops.append(_drop("cluster", rows[0].cluster_id, reason, str(error), rows[0].page_url))
            return
        limit = self._spec.grouping.max_alt_chars
        for row, caption, text in zip(allowed, captions, texts, strict=True):
            written.captions.append(
                CaptionRow(row.picture_id, row.cluster_id, row.alt_text[:limit], caption=caption, text=text)
            )
        written.prompts.extend(prompts)

    def _allowed(self, rows: Sequence[PictureRow], written: _Written) -> Sequence[PictureRow]:
        allowed: list[PictureRow] = []
        for row in rows:
            reason = None
            if self._tombstones.covers_row(row):
                reason = "TOMBSTONED"
            elif self._screen is not None:
                reason = self._screen.refuse_picture(self._pictures.open(row))
            if reason is None:
                allowed.append(row)
            else:
                written.drops.append(_drop("picture", row.picture_id, reason, "", row.page_url))
        return allowed

    def _captions(self, rows: Sequence[PictureRow]) -> list[str]:
        captioner = self._models.captioner
        if isinstance(captioner, EmbeddingCaptioner):
            from suti.ml.clip.embeddings import rows_of  # noqa: PLC0415 - as above

            return captioner.caption_cluster(rows_of(self._embeddings, [row.picture_id for row in rows]))
        size = self._spec.captioning.batch_pictures
        pictures = [self._pictures.open(row) for row in rows]
        return [
            text for start in range(0, len(rows), size) for text in captioner.caption(pictures[start : start + size])
        ]

    def _prompts(
        self, first: PictureRow, own: Sequence[str], texts: Sequence[str], written: _Written
    ) -> list[PromptRow]:
        seed = derive_seed(self._spec.seed, Stage.CAPTIONING, first.cluster_id)
        count = self._spec.captioning.prompts_per_cluster
        rows: list[PromptRow] = []
        for prompt in self._models.rewriter.propose(texts, own=own, count=count, seed=seed):
            name = prompt_id(first.cluster_id, prompt.text)
            if self._screen is not None and (reason := self._screen.refuse_prompt(prompt.text)) is not None:
                written.drops.append(_drop("prompt", name, reason, prompt.text, first.page_url))
                continue
            rows.append(PromptRow(name, first.cluster_id, skill=prompt.skill.value, text=prompt.text))
        if not rows:
            raise _Refused("NO_PROMPT", "every prompt that was proposed is refused or says what is there already")
        return rows


class _Refused(PermanentError):
    """A cluster that gets no texts. Never leaves this module."""

    reason = "CLUSTER_REFUSED"

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why


def _clusters(rows: Sequence[PictureRow]) -> Iterator[list[PictureRow]]:
    """The rows by cluster, clusters and pictures sorted by id, whatever order they were stored in."""
    by_cluster: dict[str, list[PictureRow]] = {}
    for row in sorted(rows, key=lambda row: (row.cluster_id, row.picture_id)):
        by_cluster.setdefault(row.cluster_id, []).append(row)
    yield from by_cluster.values()


def _drop(kind: str, name: str, reason: str, detail: str, page_url: str) -> DropRow:
    return DropRow(kind=kind, id=name, reason=reason, score=None, detail=detail[:1_000], page_url=page_url)
