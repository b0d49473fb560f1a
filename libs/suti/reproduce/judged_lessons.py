"""Every candidate of a set of lessons, judged exactly: what a filter lets through, and how much of it is right."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from suti.core.seeds import derive_seed
from suti.local.demo.judge import Judged, SubjectJudge, as_score, share
from suti.local.folder import packaged_models
from suti.ml.clip.encoder import ClipEncoder, load_clip
from suti.ml.diffusion.pixels import pixels_to_picture
from suti.ml.evaluation.intervals import bootstrap_mean
from suti.ml.png import png_of
from suti.ml.quality.verdicts import Reason, Scores, judge
from suti.report.facts import Score
from suti.reproduce.cells import Cell, CellFolder
from suti.reproduce.lessons import Lesson
from suti.reproduce.sources import Taught
from suti.toyworld.captions import view_of_prompt
from suti.toyworld.oracle.lineup import ANSWERING, OTHERS
from suti.toyworld.subjects import distractors

JUDGED = "judged-lessons"


class JudgedCell(Cell):
    """The lessons that an apprentice may learn from, before any filter."""

    taught: Taught
    oracle: str = ANSWERING

    @classmethod
    def of(cls, taught: Taught) -> "JudgedCell":
        """The same for every threshold and every seed of the training."""
        unfiltered = taught.model_copy(update={"gain_percentile": 0, "seed": 0})
        return cls(experiment=JUDGED, system="experts", condition=f"{taught.clusters} clusters", taught=unfiltered)


def judge_lessons(taught: Taught, out: Path) -> None:
    """Judge them, once."""
    cell = JudgedCell.of(taught)
    CellFolder(out / JUDGED).run(cell, lambda: _found(cell.taught, out))


def is_judged(taught: Taught, out: Path) -> bool:
    """Whether that was done."""
    return CellFolder(out / JUDGED).find(JudgedCell.of(taught)) is not None


def kept_by_filter(taught: Taught, out: Path) -> dict[str, Score]:
    """How many candidates the apprentice's filter keeps, how many of those show the right subject as it was asked for,
    how many are from experts tuned for a wrong number of steps; nothing while they are not judged.
    """
    found = CellFolder(out / JUDGED).find(JudgedCell.of(taught))
    if found is None:
        return {}
    candidates: list[dict[str, Any]] = found["candidates"]
    recipe = taught.filter(taught.load(out))
    verdicts = [judge(Scores(**one["scores"]), recipe) is Reason.KEPT for one in candidates]
    kept = [one for one, passed in zip(candidates, verdicts, strict=True) if passed]
    clusters = [str(one["number"]) for one in candidates]
    scores = {"yield": as_score(bootstrap_mean([float(one) for one in verdicts], groups=clusters))}
    if kept:
        groups = [str(one["number"]) for one in kept]
        scores["right_among_kept"] = share([one["overall"] for one in kept], groups)
        wrong = [one["steps"] != taught.lessons.expert.steps for one in kept]
        scores["wrong_steps_among_kept"] = share(wrong, groups)
    return scores


def _found(taught: Taught, out: Path) -> dict[str, Any]:
    candidates: list[dict[str, Any]] = []
    clip = load_clip(str(packaged_models() / "clip"))
    for lesson in taught.load(out):
        steps = taught.lessons_of(lesson.number).expert.steps
        candidates += [
            {
                "number": lesson.number,
                "steps": steps,
                "identified": one.answer.identified,
                "overall": one.answer.overall,
                "clip_i": one.clip_i,
                "scores": asdict(lesson.scores[row]),
            }
            for row, one in _judged(lesson, clip, seed=taught.lessons.seed)
        ]
    return {"candidates": candidates}


def _judged(lesson: Lesson, clip: ClipEncoder, *, seed: int) -> list[tuple[int, Judged]]:
    """All candidates by their rows, prompt by prompt."""
    demonstrations = [png_of(pixels_to_picture(pixels_CHW)) for pixels_CHW in lesson.demonstrations_KCHW]
    others = distractors(lesson.subject, derive_seed(seed, "reproduce-distractors", lesson.number), OTHERS)
    judge = SubjectJudge(lesson.subject, others, demonstrations, clip=clip, group=str(lesson.number))
    found: list[tuple[int, Judged]] = []
    for prompt in dict.fromkeys(lesson.prompts):
        rows = [row for row, asked in enumerate(lesson.prompts) if asked == prompt]
        pngs: Mapping[str, Sequence[bytes]] = {
            "teacher": [png_of(pixels_to_picture(lesson.candidates_NCHW[row])) for row in rows]
        }
        judged = judge.judge(pngs, prompt=prompt, view=view_of_prompt(prompt))[0]["teacher"]
        found += zip(rows, judged, strict=True)
    return found
