"""What of a run is worth looking at: clusters, candidates, drawn pictures, enlarged for a page."""

import io
from collections.abc import Sequence

from PIL import Image

from suti.local.demo.contest import Results
from suti.local.demo.draws import Drawn
from suti.local.demo.run_reading import Candidate, RunReading
from suti.report.gallery import CandidateCard, ClusterSheet, DrawnRow, Gallery, Shown, SubjectSheet

_SHOWN_PX = 192  # smaller pictures are enlarged, so that no browser blurs them in its own way
_CLUSTERS, _KEPT, _REFUSED, _SUBJECTS = 8, 18, 12, 12


def exhibit(run: RunReading, results: Results) -> Gallery:
    """The pictures of a report."""
    candidates = list(run.candidates())
    kept = sorted((one for one in candidates if one.verdict.kept), key=lambda one: -one.verdict.gain)
    refused = sorted((one for one in candidates if not one.verdict.kept), key=lambda one: one.verdict.gain)
    return Gallery(
        clusters=[_cluster(run, cluster_id) for cluster_id in list(run.clusters)[:_CLUSTERS]],
        candidates=[_card(run, one) for one in (*_one_each(kept, _KEPT), *_one_each(refused, _REFUSED))],
        subjects=_subjects(results),
        losses=run.losses(),
    )


def enlarged(png: bytes, *, side_px: int = _SHOWN_PX) -> bytes:
    """The picture at least so large, smoothly (Lanczos); larger ones as they are."""
    picture = Image.open(io.BytesIO(png))
    if picture.width >= side_px:
        return png
    buffer = io.BytesIO()
    picture.convert("RGB").resize((side_px, side_px), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _cluster(run: RunReading, cluster_id: str) -> ClusterSheet:
    rows = run.clusters[cluster_id]
    return ClusterSheet(
        page_url=rows[0].page_url,
        pictures=[Shown(enlarged(run.picture_png(row)), run.texts[cluster_id, row.picture_id]) for row in rows],
    )


def _card(run: RunReading, one: Candidate) -> CandidateCard:
    first = run.clusters[one.verdict.cluster_id][0]
    return CandidateCard(
        png=enlarged(one.png()),
        demonstration_png=enlarged(run.picture_png(first), side_px=96),
        prompt=one.prompt,
        kept=one.verdict.kept,
        reason=one.verdict.reason,
        gain=one.verdict.gain,
        copy_similarity=one.verdict.copy_similarity,
    )


def _one_each(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """The first of each cluster, then the second of each, until there are enough."""
    turns: dict[str, int] = {}
    ranked: list[tuple[int, int, Candidate]] = []
    for place, one in enumerate(candidates):
        turn = turns[one.verdict.cluster_id] = turns.get(one.verdict.cluster_id, -1) + 1
        ranked.append((turn, place, one))
    return [one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])[:count]]


def _subjects(results: Results) -> list[SubjectSheet]:
    models = list(results.drawn)
    by_subject: dict[int, list[Drawn]] = {}
    for drawn in results.drawn[models[-1]]:
        by_subject.setdefault(drawn.unseen.number, []).append(drawn)
    return [_subject(rows, models, results) for rows in list(by_subject.values())[:_SUBJECTS]]


def _subject(rows: Sequence[Drawn], models: Sequence[str], results: Results) -> SubjectSheet:
    """The first picture of each model for each prompt: they are of one seed."""
    unseen = rows[0].unseen
    return SubjectSheet(
        name=unseen.name,
        demonstrations=[Shown(enlarged(demo.png), demo.text) for demo in unseen.demonstrations],
        rows=[
            DrawnRow(
                prompt=row.wanted.text,
                by_model={model: enlarged(results.drawn[model][row.place].pngs[0]) for model in models},
                identified={model: results.judged[model][row.place][0].identified for model in models},
            )
            for row in rows
        ],
    )
