"""What it takes to make the lessons of a set that are not there yet."""

from collections.abc import Iterable
from itertools import batched
from pathlib import Path

from suti.local.folder import packaged_models
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import load_clip
from suti.reproduce.clusters import ClusterSource
from suti.reproduce.experts_cells import LessonSet, make_lessons
from suti.reproduce.tasks import Task
from suti.toyworld.words import tags


def missing_lessons(lessons: LessonSet, numbers: Iterable[int], out: Path) -> Iterable[Task]:
    """Tasks that draw the lessons of these clusters, as many experts at a time as their recipe takes together."""
    missing = [number for number in numbers if not lessons.path(out, number).exists()]
    if not missing:
        return
    source = ClusterSource(
        load_clip(str(packaged_models() / "clip")),
        WordLists.model_validate(tags()),
        size_px=32,
        prompts_each=lessons.prompts_each,
        seed=lessons.seed,
    )
    wanted = set(missing)
    clusters = (cluster for cluster in source.clusters(range(max(wanted) + 1)) if cluster.number in wanted)
    for some in batched(clusters, lessons.expert.together):
        yield make_lessons, (lessons, some, out)
