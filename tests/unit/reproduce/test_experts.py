"""Experiment 1: every cell has its row, run or not."""

import json
from pathlib import Path

from suti.core.records import Skill
from suti.local.folder import packaged_models
from suti.ml.captions.words import WordLists
from suti.ml.clip.encoder import load_clip
from suti.reproduce.cells import CellFolder
from suti.reproduce.clusters import Cluster, ClusterSource
from suti.reproduce.experts import METRICS, ExpertsPlan, rows_of
from suti.reproduce.experts_cells import ApprenticeCell, LessonSet, TeacherCell
from suti.reproduce.teachers import render_lesson
from suti.reproduce.work import Work, write_documents
from suti.toyworld.captions import kind_of_prompt, view_of_prompt
from suti.toyworld.seeds import Namespace, namespace_of
from suti.toyworld.words import tags


def test_what_was_not_run_is_a_row_and_no_gap(tmp_path: Path) -> None:
    plan, folder = ExpertsPlan(), CellFolder(tmp_path / "cells")
    rows = rows_of(plan, folder)
    assert len(rows) == len(plan.cells()) * len(METRICS)
    assert {row.mean for row in rows} == {None}

    write_documents(Work(out=tmp_path, results=tmp_path / "results", processes=1, minutes=0), plan, folder)

    assert len(json.loads((tmp_path / "results/experts.json").read_bytes())["rows"]) == len(rows)
    assert (tmp_path / "results/experts.md").read_text().count("not run") > len(plan.cells())
    assert (tmp_path / "results/experts.png").read_bytes().startswith(b"\x89PNG")


def test_sets_of_experts_are_nested(tmp_path: Path) -> None:
    cells = [cell for cell in ExpertsPlan(sizes=(2, 4)).cells() if isinstance(cell, ApprenticeCell)]
    of_experts = [cell for cell in cells if cell.lessons.teacher == "experts"]
    paths = {
        cell.clusters: {cell.lessons.path(tmp_path, number) for number in range(cell.clusters)} for cell in of_experts
    }
    assert paths[2] < paths[4]


def test_experts_and_renders_are_asked_for_the_same_prompts() -> None:
    lessons = ExpertsPlan().lessons()
    experts, renders = lessons["experts"], lessons["renders"]
    assert (experts.prompts_each, experts.seed) == (renders.prompts_each, renders.seed)
    assert experts.expert.samples_per_prompt == renders.expert.samples_per_prompt
    assert experts.path(Path(), 0) != renders.path(Path(), 0)


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
    lessons: LessonSet = ExpertsPlan().lessons()["experts"]
    assert not lessons.made(tmp_path, 1)
    lessons.path(tmp_path, 0).parent.mkdir(parents=True)
    lessons.path(tmp_path, 0).touch()
    assert lessons.made(tmp_path, 1)
    assert not lessons.made(tmp_path, 2)
    teachers = [cell for cell in ExpertsPlan(sizes=(2, 4)).cells() if isinstance(cell, TeacherCell)]
    assert {cell.clusters for cell in teachers} == {2}


def _clusters(numbers: range) -> list[Cluster]:
    models = packaged_models()
    clip, words = load_clip(str(models / "clip")), WordLists.model_validate(tags())
    return list(ClusterSource(clip, words, size_px=32, prompts_each=4, seed=0).clusters(numbers))
