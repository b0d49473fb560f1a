"""From what was measured to rows: every condition of an experiment, run or not, beside those it is paired with."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from suti.core.records import Skill
from suti.local.demo.judge import as_score
from suti.ml.evaluation.intervals import bootstrap_mean, compare
from suti.report.facts import Score
from suti.reproduce.drawings import DrawingCell
from suti.reproduce.metrics import judges
from suti.reproduce.rival_steps import steps_of
from suti.reproduce.rows import Row, figure_row, missing_row, score_row
from suti.reproduce.scoring import Scored, drawing_seconds, failures, scored, seconds_to_first_picture
from suti.reproduce.sources import Taught, is_ready, sha256_of
from suti.reproduce.subject_sets import REFERENCES

METRICS = ("identified_16way", "follows_prompt", "overall", "clip_t", "clip_i", "dino")
FIRST_PICTURE = "seconds_to_first_picture"
_PAIRED = ("identified_16way", "follows_prompt", "overall", "clip_t", "dino")


@dataclass(frozen=True)
class Condition:
    """One line of a table: a system under a condition, drawn once for each seed."""

    system: str
    condition: str
    drawings: tuple[DrawingCell, ...]
    against: Mapping[str, str] = field(default_factory=dict[str, str])  # names of others, by what rows call them
    counted: Callable[[Path], Mapping[str, Score]] | None = None  # what else was found on the way, where cells lie
    skill: Skill | None = None  # of shared drawings, these pictures alone

    @property
    def name(self) -> str:
        """What others are compared with it by."""
        return f"{self.system}, {self.condition}" if self.condition else self.system

    @property
    def taught(self) -> list[Taught]:
        """The apprentices it needs."""
        return [one.source for one in self.drawings if isinstance(one.source, Taught)]

    @property
    def trainings(self) -> int:
        """Trainings that drew, each with a seed of its own; of rivals tuned subject by subject, seeds of tuning."""
        drawn = [one for one in self.drawings if one.source is not None]
        return len({(one.source, one.seed if steps_of(one.rival) else 0) for one in drawn})

    @property
    def protocol_id(self) -> str:
        """Which subjects, prompts, pictures, references and judges; never how they were drawn.

        Pictures that were asked for with prompts of one skill are others than those of a skill among mixed prompts.
        """
        sets = [one.subjects for one in self.drawings]
        seeds = ",".join(str(one.seed) for one in sets)
        asked = f"/all:{sets[0].skill}" if sets[0].skill is not None else ""
        asked += f"/only:{self.skill}" if self.skill is not None else ""
        drawn = f"toy-unseen-16way/{sets[0].subjects}x1x{sets[0].pictures_each}{asked}/r{REFERENCES}/s{seeds}"
        return f"{drawn};{judges()}"


def rows_of(experiment: str, conditions: Sequence[Condition], out: Path) -> list[Row]:
    """Every condition's rows; a condition of which no seed is measured has rows without figures."""
    found = {one.name: _scored(one, out) for one in conditions}
    return [row for one in conditions for row in _rows(experiment, one, found, out)]


def _scored(condition: Condition, out: Path) -> list[Scored]:
    """All pictures of all seeds that were drawn and measured whole."""
    pictures = [one for drawing in condition.drawings for one in scored(drawing, out)]
    return [one for one in pictures if condition.skill in {None, one.skill}]


def _rows(experiment: str, condition: Condition, found: Mapping[str, list[Scored]], out: Path) -> Iterator[Row]:
    own = found[condition.name]
    names: dict[str, str | int] = {
        "experiment": experiment,
        "condition": condition.condition,
        "system": condition.system,
        "protocol_id": condition.protocol_id,
    }
    if not own:
        yield from (missing_row(**names, metric=metric) for metric in METRICS)
        return
    whole = replace(condition, drawings=tuple(one for one in condition.drawings if scored(one, out)))
    # A row says whom it is of: seeds that were not run are not in its protocol, and counted.
    names |= {"protocol_id": whole.protocol_id, "seeds": whole.trainings, "model_sha256": _models(condition, out)}
    for metric in METRICS:
        values = [one.values[metric] for one in own if metric in one.values]
        groups = [one.group for one in own if metric in one.values]
        if values:
            yield score_row(as_score(bootstrap_mean(values, groups=groups)), **names, metric=metric)
        else:
            yield missing_row(**{name: names[name] for name in names if name != "seeds"}, metric=metric)
    for label, other in condition.against.items():
        yield from _compared(own, found.get(other, []), label, names)
    if first := [second for one in condition.drawings for second in seconds_to_first_picture(one, out) if second > 0]:
        yield score_row(as_score(bootstrap_mean(first)), **names, metric=FIRST_PICTURE)
    for metric, score in ({} if condition.counted is None else condition.counted(out)).items():
        yield score_row(score, **names, metric=metric)
    if left := len(condition.drawings) - len(whole.drawings):
        yield figure_row(left, **names, metric="seeds_not_run")
    if failed := failures(condition.drawings, out):
        yield figure_row(failed, **names, metric="subjects_failed")
    yield figure_row(round(_seconds(condition, out), 1), **names, metric="seconds")


def _compared(
    own: Sequence[Scored], others: Sequence[Scored], other: str, names: Mapping[str, str | int]
) -> Iterator[Row]:
    """The same subjects, prompts and noise: how much higher, and with what probability."""
    by_key = {one.key: one for one in others}
    for metric in _PAIRED:
        pairs = [
            (one, by_key[one.key])
            for one in own
            if one.key in by_key and metric in one.values and metric in by_key[one.key].values
        ]
        if not pairs:
            continue
        mine, theirs = [a.values[metric] for a, _ in pairs], [b.values[metric] for _, b in pairs]
        found = compare(mine, theirs, groups=[a.group for a, _ in pairs])
        yield score_row(as_score(found.difference), **names, metric=f"{metric}_minus_{other}")
        yield figure_row(found.probability, **names, metric=f"{metric}_probability_above_{other}")


def _models(condition: Condition, out: Path) -> str:
    """Of the models that drew: of one its own hash, of several the hash of theirs in order."""
    sources = [one.source for one in condition.drawings if one.source is not None]
    hashes = list(dict.fromkeys(sha256_of(one, out) for one in sources if is_ready(one, out)))
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""


def _seconds(condition: Condition, out: Path) -> float:
    """One core's, of training and drawing; drawings that experiments share count in each."""
    trained = [float(one.facts(out)["seconds"]) for one in condition.taught if is_ready(one, out)]
    return drawing_seconds(condition.drawings, out) + sum(trained)
