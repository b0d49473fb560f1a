"""Experiment 1: nested sets of experts, and true renders for the same prompts."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

from suti.core.records import Skill
from suti.local.folder import packaged_models
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import load_clip
from suti.reproduce.clusters import Cluster, ClusterSource
from suti.reproduce.experts import SIZES, experts
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Taught
from suti.reproduce.teachers import render_lesson
from suti.toyworld.captions import kind_of_prompt, view_of_prompt
from suti.toyworld.seeds import Namespace, namespace_of
from suti.toyworld.words import tags

SCALE = Scale()


def test_sets_of_experts_are_nested(tmp_path: Path) -> None:
    paths = {one.clusters: _paths(one, tmp_path) for one in _taught() if one.lessons.teacher == "experts"}
    assert sorted(paths) == list(SIZES)
    for fewer, more in pairwise(SIZES):
        assert paths[fewer] < paths[more]
        assert len(paths[more]) == more


def test_apprentices_differ_in_nothing_but_who_taught_them_and_where_they_began() -> None:
    told = {"lessons", "clusters", "gain_percentile", "start", "seed"}
    assert len({one.model_dump_json(exclude=told) for one in _taught()}) == 1


def test_experts_and_renders_are_asked_for_the_same_prompts() -> None:
    drawn, true = SCALE.lessons("experts"), SCALE.lessons("renders")
    assert (drawn.prompts_each, drawn.seed) == (true.prompts_each, true.seed)
    assert drawn.expert.samples_per_prompt == true.expert.samples_per_prompt
    assert drawn.path(Path(), 0) != true.path(Path(), 0)


def test_of_the_largest_set_of_renders_none_comes_twice() -> None:
    assert SIZES[-1] >= SCALE.apprentice.steps * SCALE.apprentice.batch_subjects


def test_no_cluster_shows_a_subject_of_the_evaluation() -> None:
    for cluster in _clusters(range(3)):
        assert namespace_of(cluster.subject) is Namespace.CRAWL
        assert 3 <= len(cluster.pictures_KCHW) == len(cluster.texts)
        assert len(set(cluster.prompts)) == len(Skill)
        for prompt in cluster.prompts:
            assert kind_of_prompt(prompt)
            view_of_prompt(prompt)


def test_a_cluster_is_the_same_whichever_others_are_asked_for() -> None:
    (alone,) = _clusters(range(2, 3))
    among = _clusters(range(3))[2]
    assert (alone.number, alone.texts, alone.prompts) == (2, among.texts, among.prompts)
    assert alone.pictures_KCHW.equal(among.pictures_KCHW)


def test_true_renders_of_prompts_fit_them_better_than_any_demonstration() -> None:
    clip = load_clip(str(packaged_models() / "clip"))
    (cluster,) = _clusters(range(1))
    lesson = render_lesson(cluster, clip, samples_per_prompt=2, seed=0)
    assert len(lesson.prompts) == len(lesson.scores) == len(lesson.candidates_NCHW) == 8
    assert sum(scores.gain > 0 for scores in lesson.scores) >= 6


def test_a_lesson_set_knows_what_is_missing(tmp_path: Path) -> None:
    lessons = SCALE.lessons("renders")
    lessons.path(tmp_path, 1).parent.mkdir(parents=True)
    lessons.path(tmp_path, 1).touch()
    ((_, (_, clusters, _)),) = lessons.missing(range(3), tmp_path)
    assert [one.number for one in cast("Sequence[Cluster]", clusters)] == [0, 2]


def _taught() -> list[Taught]:
    return [one for condition in experts(SCALE).conditions for one in condition.taught]


def _paths(taught: Taught, out: Path) -> set[Path]:
    return {lessons.path(out, number) for lessons, numbers in taught.wanted().items() for number in numbers}


def _clusters(numbers: range) -> list[Cluster]:
    models = packaged_models()
    clip, words = load_clip(str(models / "clip")), WordLists.model_validate(tags())
    return list(ClusterSource(clip, words, size_px=32, prompts_each=4, seed=0).clusters(numbers))
