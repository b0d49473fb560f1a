"""The run's own experts, judged as the apprentice is: by the truth of the crawl, which evaluation alone may read."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from suti.core.errors import InvalidArgument
from suti.core.ids import canonical_url
from suti.core.seeds import derive_seed
from suti.local.demo.judge import Judged, SubjectJudge
from suti.local.demo.run_reading import Candidate, RunReading
from suti.ml.clip.encoder import ClipEncoder
from suti.toyworld.captions import kind_of_prompt, view_of_prompt
from suti.toyworld.crawls import subjects_of_pages
from suti.toyworld.subjects import distractors
from suti.toyworld.views import View

_OTHERS = 15
_NAME = "expert"


def judge_experts(
    run: RunReading,
    truth: Path,
    *,
    clip: ClipEncoder,
    count: int,
    seed: int,
    on_done: Callable[[], None] = lambda: None,
) -> list[Judged]:
    """About `count` candidates, kept and refused alike, spread evenly over clusters and prompts.

    Left out are those of pages about nobody in particular, and of prompts that the toy world cannot draw.
    """
    subjects = {canonical_url(url): subject for url, subject in subjects_of_pages(truth).items()}
    judged: list[Judged] = []
    for cluster_id, own in _spread(run, subjects.keys(), count).items():
        subject = subjects[canonical_url(own[0].page_url)]
        judge = SubjectJudge(
            subject,
            distractors(subject, derive_seed(seed, "demo-expert-distractors", cluster_id), _OTHERS),
            [run.picture_png(row) for row in run.clusters[cluster_id]],
            clip=clip,
            group=cluster_id,
        )
        by_prompt: dict[str, list[bytes]] = {}
        for candidate in own:
            by_prompt.setdefault(candidate.prompt, []).append(candidate.png())
        for prompt, pngs in by_prompt.items():
            view = _view(prompt, subject.kind)
            if view is not None:
                judged += judge.judge({_NAME: pngs}, prompt=prompt, view=view)[0][_NAME]
        on_done()
    return judged


def _view(prompt: str, kind: str) -> View | None:
    """What a prompt asks for; None where it asks for another class or for nothing that can be drawn."""
    if kind_of_prompt(prompt) != kind:
        return None
    try:
        return view_of_prompt(prompt)
    except InvalidArgument:
        return None


def _spread(run: RunReading, pages: Collection[str], count: int) -> Mapping[str, list[Candidate]]:
    """The first candidates of each cluster, one more of each until there are enough."""
    by_cluster: dict[str, list[Candidate]] = {}
    for candidate in run.candidates():
        if canonical_url(candidate.page_url) in pages:
            by_cluster.setdefault(candidate.row.cluster_id, []).append(candidate)
    each = -(-count // max(1, len(by_cluster)))
    return {
        name: sorted(own, key=lambda one: (one.row.prompt_id, one.row.sample))[:each]
        for name, own in by_cluster.items()
    }
