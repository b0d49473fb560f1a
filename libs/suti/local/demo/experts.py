"""The run's own experts, judged as the apprentice is: by the truth of the crawl, which evaluation alone may read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from suti.core.errors import InvalidArgument
from suti.core.ids import canonical_url
from suti.core.seeds import derive_seed
from suti.local.demo.judge import Judged, SubjectJudge
from suti.ml.clip.encoder import ClipEncoder
from suti.report.run_reading import Candidate, RunReading
from suti.toyworld.captions import kind_of_prompt, view_of_prompt
from suti.toyworld.crawls import subjects_of_pages
from suti.toyworld.oracle.lineup import OTHERS
from suti.toyworld.subjects import distractors
from suti.toyworld.views import View

_NAME = "expert"


def judge_experts(run: RunReading, truth: Path, *, clip: ClipEncoder, count: int, seed: int) -> list[Judged]:
    """`count` candidates or a few more, kept and refused alike: all samples of one prompt a cluster.

    Left out are clusters of pages about nobody in particular, and prompts that the toy world cannot draw.
    """
    subjects = {canonical_url(url): subject for url, subject in subjects_of_pages(truth).items()}
    judged: list[Judged] = []
    for cluster_id, rows in _by_cluster(run).items():
        subject = subjects.get(canonical_url(rows[0].page_url))
        own = _first_prompt(rows, subject.kind) if subject else None
        if subject is None or own is None:
            continue
        view, candidates = own
        judge = SubjectJudge(
            subject,
            distractors(subject, derive_seed(seed, "demo-expert-distractors", cluster_id), OTHERS),
            [run.picture_png(row) for row in run.clusters[cluster_id]],
            clip=clip,
            group=cluster_id,
        )
        pngs = {_NAME: [one.png() for one in candidates]}
        judged += judge.judge(pngs, prompt=candidates[0].prompt, view=view)[0][_NAME]
        if len(judged) >= count:
            break
    return judged


def _by_cluster(run: RunReading) -> Mapping[str, list[Candidate]]:
    """All candidates, by cluster; cluster ids are hashes, so that their order favours nobody."""
    found: dict[str, list[Candidate]] = {}
    for candidate in run.candidates():
        found.setdefault(candidate.row.cluster_id, []).append(candidate)
    return dict(sorted(found.items()))


def _first_prompt(rows: Sequence[Candidate], kind: str) -> tuple[View, list[Candidate]] | None:
    """All candidates of the first prompt (by id, which is a hash) that the toy world can draw."""
    for prompt_id in sorted({one.row.prompt_id for one in rows}):
        same = [one for one in rows if one.row.prompt_id == prompt_id]
        if (view := _view(same[0].prompt, kind)) is not None:
            return view, sorted(same, key=lambda one: one.row.sample)
    return None


def _view(prompt: str, kind: str) -> View | None:
    """What a prompt asks for; None where it asks for another class or for nothing that can be drawn."""
    if kind_of_prompt(prompt) != kind:
        return None
    try:
        return view_of_prompt(prompt)
    except InvalidArgument:
        return None
