"""What of a run is worth looking at: clusters, candidates, drawn pictures, enlarged for a page."""

import io
from collections.abc import Mapping, Sequence

from PIL import Image

from suti.local.demo.draws import Drawn
from suti.local.demo.run_reading import Candidate, RunReading
from suti.report.gallery import CandidateCard, ClusterSheet, DrawnRow, Gallery, Shown, SubjectSheet

_SHOWN_PX = 192  # smaller pictures are enlarged, so that no browser blurs them in its own way
_CLUSTERS, _KEPT, _REFUSED, _SUBJECTS = 8, 18, 12, 12


def exhibit(run: RunReading, drawn: Mapping[str, Sequence[Drawn]]) -> Gallery:
    """The pictures of a report. `drawn` is by model, each in the order of subjects and prompts."""
    candidates = list(run.candidates())
    kept = sorted((one for one in candidates if one.verdict.kept), key=lambda one: -one.verdict.gain)
    refused = sorted((one for one in candidates if not one.verdict.kept), key=lambda one: one.verdict.gain)
    return Gallery(
        clusters=[_cluster(run, cluster_id) for cluster_id in list(run.clusters)[:_CLUSTERS]],
        candidates=[_card(run, one) for one in (*_one_each(kept, _KEPT), *_one_each(refused, _REFUSED))],
        subjects=_subjects(drawn),
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


def _subjects(drawn: Mapping[str, Sequence[Drawn]]) -> list[SubjectSheet]:
    sheets: list[SubjectSheet] = []
    models = list(drawn)
    by_subject: dict[int, list[tuple[Drawn, ...]]] = {}
    for same in zip(*(drawn[model] for model in models), strict=True):
        by_subject.setdefault(same[0].unseen.number, []).append(same)
    for rows in list(by_subject.values())[:_SUBJECTS]:
        unseen = rows[0][0].unseen
        sheets.append(
            SubjectSheet(
                name=unseen.name,
                demonstrations=[Shown(enlarged(demo.png), demo.text) for demo in unseen.demonstrations],
                rows=[
                    DrawnRow(
                        prompt=same[0].wanted.text,
                        by_model={one.model: enlarged(one.pngs[0]) for one in _named(models, same)},
                        identified={one.model: one.judged[0].identified for one in _named(models, same)},
                    )
                    for same in rows
                ],
            )
        )
    return sheets


def _named(models: Sequence[str], same: Sequence[Drawn]) -> list[Drawn]:
    """What was drawn under the names that a reader knows: `apprentice`, not `runs/01...`."""
    return [Drawn(one.unseen, one.wanted, model, one.pngs, one.judged) for model, one in zip(models, same, strict=True)]
