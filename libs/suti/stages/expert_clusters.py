"""What the experts of a shard learn from: captioned clusters, without what nobody may use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from suti.core.records import CaptionRow, PictureRow, PromptRow, Stage
from suti.infra.ledger import Ledger
from suti.infra.tables import from_parquet
from suti.infra.tombstones import Tombstones


@dataclass(frozen=True)
class Cluster:
    """What one expert learns from and is asked for; as many texts as pictures."""

    cluster_id: str
    page_url: str
    pictures: Sequence[PictureRow]
    texts: Sequence[str]
    prompts: Sequence[PromptRow]

    @property
    def picture_ids(self) -> tuple[str, ...]:
        """Of its pictures, in order."""
        return tuple(row.picture_id for row in self.pictures)

    def without(self, tombstones: Tombstones) -> "Cluster":
        """The same with the pictures alone that nobody wants out."""
        kept = [
            (row, text) for row, text in zip(self.pictures, self.texts, strict=True) if not tombstones.covers_row(row)
        ]
        return replace(self, pictures=[row for row, _ in kept], texts=[text for _, text in kept])


def read_clusters(ledger: Ledger, shard: int) -> list[Cluster]:
    """The clusters that have texts and prompts; clusters, pictures and prompts sorted by id.

    Raises:
        NotCommitted: captioning has not finished the shard.
    """
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
    clusters: list[Cluster] = []
    for name in sorted(shown.keys() & prompts.keys()):
        rows = sorted(shown[name], key=lambda pair: pair[0].picture_id)
        clusters.append(
            Cluster(
                cluster_id=name,
                page_url=rows[0][0].page_url,
                pictures=[row for row, _ in rows],
                texts=[text for _, text in rows],
                prompts=sorted(prompts[name], key=lambda row: row.prompt_id),
            )
        )
    return clusters
