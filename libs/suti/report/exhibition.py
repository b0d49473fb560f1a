"""What of a run is worth looking at: clusters, candidates, drawn pictures, sized for a page."""

import io
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from PIL import Image, ImageOps

from suti.core.records import PictureRow
from suti.infra.store import ObjectMissing, RangeOutsideObject
from suti.infra.tombstones import Tombstones
from suti.report.gallery import CandidateCard, ClusterSheet, Shown
from suti.report.run_reading import Candidate, RunReading

CLUSTERS, KEPT, REFUSED = 8, 18, 12
SHOWN_PX = 192  # smaller pictures are enlarged, so that no browser blurs them in its own way
_MOST_PX = 256  # and larger ones are shrunk, so that a report can be sent
_SMALL_PX = 96


@dataclass(frozen=True)
class Exhibition:
    """A run's pictures for a page. What a tombstone covers and what the store has no more is left out and counted."""

    run: RunReading
    tombstones: Tombstones = field(default_factory=Tombstones)
    left_out: Counter[str] = field(default_factory=Counter[str])  # pictures, by reason

    def clusters(self, count: int = CLUSTERS) -> list[ClusterSheet]:
        """The first clusters, each with all pictures that may be shown."""
        sheets = [self._sheet(cluster_id) for cluster_id in self._allowed()[:count]]
        return [sheet for sheet in sheets if sheet.pictures]

    def candidates(self, *, kept: int = KEPT, refused: int = REFUSED) -> list[CandidateCard]:
        """The best that were kept, then the worst that were refused, a few of each cluster.

        Nothing is shown that an expert drew who learnt from what a tombstone covers.
        """
        found: list[Candidate] = []
        for one in self.run.candidates():
            if any(map(self.tombstones.covers_row, self.run.clusters[one.verdict.cluster_id])):
                self.left_out["TOMBSTONED"] += 1
            else:
                found.append(one)
        best = sorted((one for one in found if one.verdict.kept), key=lambda one: -one.verdict.gain)
        worst = sorted((one for one in found if not one.verdict.kept), key=lambda one: one.verdict.gain)
        cards = [self._card(one) for one in (*_one_each(best, kept), *_one_each(worst, refused))]
        return [card for card in cards if card is not None]

    def _allowed(self) -> list[str]:
        """Clusters of which anything may be shown; what may not is counted, of all clusters."""
        covered = {
            cluster_id: sum(map(self.tombstones.covers_row, rows)) for cluster_id, rows in self.run.clusters.items()
        }
        self._count("TOMBSTONED", covered.values())
        return [cluster_id for cluster_id, rows in self.run.clusters.items() if covered[cluster_id] < len(rows)]

    def _sheet(self, cluster_id: str) -> ClusterSheet:
        rows = [row for row in self.run.clusters[cluster_id] if not self.tombstones.covers_row(row)]
        pictures: list[Shown] = []
        for row in rows:
            if (png := self._picture(row)) is not None:
                text = self.run.texts.get((cluster_id, row.picture_id), row.alt_text)
                pictures.append(Shown(png, text))
        return ClusterSheet(page_url=rows[0].page_url, pictures=pictures)

    def _card(self, one: Candidate) -> CandidateCard | None:
        first = self._picture(self.run.clusters[one.verdict.cluster_id][0], side_px=_SMALL_PX)
        drawn = self._drawn(one)
        if first is None or drawn is None:
            return None
        return CandidateCard(
            png=drawn,
            demonstration_png=first,
            prompt=one.prompt,
            kept=one.verdict.kept,
            reason=one.verdict.reason,
            gain=one.verdict.gain,
            copy_similarity=one.verdict.copy_similarity,
        )

    def _picture(self, row: PictureRow, *, side_px: int = SHOWN_PX) -> bytes | None:
        return self._sized(partial(self.run.picture_png, row), side_px=side_px)

    def _drawn(self, one: Candidate) -> bytes | None:
        return self._sized(one.png, side_px=SHOWN_PX)

    def _sized(self, read: Callable[[], bytes], *, side_px: int) -> bytes | None:
        try:
            return sized(read(), side_px=side_px)
        except (ObjectMissing, RangeOutsideObject) as error:
            self.left_out[error.reason] += 1
        except (OSError, SyntaxError, ValueError):  # what Pillow says of bytes that are no picture
            self.left_out["PICTURE_UNREADABLE"] += 1
        return None

    def _count(self, reason: str, numbers: Collection[int]) -> None:
        if total := sum(numbers):
            self.left_out[reason] += total


def sized(png: bytes, *, side_px: int = SHOWN_PX) -> bytes:
    """The picture with its longer side neither below `side_px` nor much above, smoothly (Lanczos)."""
    picture = Image.open(io.BytesIO(png), formats=["PNG"])
    longer_px, most_px = max(picture.size), side_px * _MOST_PX // SHOWN_PX
    if side_px <= longer_px <= most_px:
        return png
    wanted_px = side_px if longer_px < side_px else most_px
    buffer = io.BytesIO()
    fitted = ImageOps.contain(picture.convert("RGB"), (wanted_px, wanted_px), Image.Resampling.LANCZOS)
    fitted.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _one_each(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """The first of each cluster, then the second of each, until there are enough."""
    turns: dict[str, int] = {}
    ranked: list[tuple[int, int, Candidate]] = []
    for place, one in enumerate(candidates):
        turn = turns[one.verdict.cluster_id] = turns.get(one.verdict.cluster_id, -1) + 1
        ranked.append((turn, place, one))
    return [one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])[:count]]
