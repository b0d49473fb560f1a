"""From rows to totals: means with intervals over subjects, and beside each how many scores are missing, and why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from suti.ml.evaluation.intervals import bootstrap_mean, compare
from suti.ml.evaluation.verdicts import METRICS as JUDGED
from suti.stages.evaluation.measuring import METRICS
from suti.stages.evaluation.rows import REAL_SYSTEM, EvaluationRow

_RESAMPLED: Final = 2  # subjects, below which there is nothing to resample


class Total(BaseModel):
    """One metric of one system under one condition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    metric: str
    condition: str = Field(description="`all`, or a skill.")
    mean: float | None = Field(description="None where there is not one score.")
    low: float | None = Field(
        description="Lower bound of the 95 % interval, subjects resampled; None below two subjects."
    )
    high: float | None
    n: int = Field(description="Pictures with a score.")
    subjects: int = Field(description="Subjects with a score.")
    missing: int = Field(description="Pictures without one; they are in no mean.")
    reasons: dict[str, int] = Field(description="Why they have none.")
    short_of_references: int = Field(description="Scores measured against fewer pictures than they should be.")
    protocol_id: str
    model_sha256: str


class Difference(BaseModel):
    """One metric of two systems on the same subjects, prompts and samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    one: str
    other: str
    metric: str
    condition: str
    mean: float | None = Field(description="How much the first lies above the second; None without a pair.")
    low: float | None = Field(description="Bounds of the 95 % interval; None below two subjects.")
    high: float | None
    probability: float | None = Field(
        description="That the first is above the second: bootstrap over subjects. None below two of them."
    )
    n: int = Field(description="Pairs of pictures.")
    subjects: int
    unpaired: int = Field(description="Scores of either that the other has no counterpart of; they are left out.")
    mismatched: int = Field(description="Pairs that were measured against different pictures or texts; left out.")
    protocol_id: str


def totals(rows: Iterable[EvaluationRow]) -> list[Total]:
    """Every metric of every system and protocol: over all, and for each skill apart."""
    groups: dict[tuple[str, str, str, str], list[EvaluationRow]] = {}
    for row in rows:
        for condition in ("all", row.skill) if row.skill else ("all",):
            groups.setdefault((row.system, row.metric, condition, row.protocol_id), []).append(row)
    found = [_total(*key[:3], rows_of) for key, rows_of in groups.items()]
    order = {metric: place for place, metric in enumerate((*METRICS, *JUDGED))}
    return sorted(found, key=lambda one: (one.system == REAL_SYSTEM, one.condition, order.get(one.metric, len(order))))


def differences(one: Iterable[EvaluationRow], other: Iterable[EvaluationRow]) -> list[Difference]:
    """What the first system has over the second, for every metric that both were given under one protocol.

    Rows are paired by subject, prompt, sample and metric; rows about real pictures are of no system. Pairs that were
    not measured against the same are counted, and in no mean.
    """
    first, second = _by_pair(one), _by_pair(other)
    metrics = sorted({(key[0], key[-1]) for key in first.keys() & second.keys()})
    found: list[Difference] = []
    for protocol_id, metric in metrics:
        keys = {key for key in first.keys() | second.keys() if (key[0], key[-1]) == (protocol_id, metric)}
        skills = sorted({(first.get(key) or second[key]).skill for key in keys})
        for condition in ("all", *skills):
            chosen = sorted(key for key in keys if condition in {"all", (first.get(key) or second[key]).skill})
            pairs = [(first[key], second[key]) for key in chosen if key in first and key in second]
            if pairs:
                found.append(_difference(pairs, condition, unpaired=len(chosen) - len(pairs)))
    return found


def _total(system: str, metric: str, condition: str, rows: Sequence[EvaluationRow]) -> Total:
    scored = [(row.score, row.subject) for row in rows if row.score is not None]
    values, names = [score for score, _ in scored], [name for _, name in scored]
    interval = bootstrap_mean(values, groups=names) if len(set(names)) >= _RESAMPLED else None
    return Total(
        system=system,
        metric=metric,
        condition=condition,
        mean=fmean(values) if values else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=len(scored),
        subjects=len(set(names)),
        missing=len(rows) - len(scored),
        reasons=dict(sorted(Counter(row.reason for row in rows if row.score is None).items())),
        short_of_references=sum(row.references_missing > 0 for row in rows if row.score is not None),
        protocol_id=rows[0].protocol_id,
        model_sha256=rows[0].system_sha256,
    )


def _by_pair(rows: Iterable[EvaluationRow]) -> dict[tuple[str, str, str, str, int, str], EvaluationRow]:
    return {(row.protocol_id, *row.pair): row for row in rows if row.score is not None and row.prompt_number >= 0}


def _difference(pairs: Sequence[tuple[EvaluationRow, EvaluationRow]], condition: str, *, unpaired: int) -> Difference:
    first, second = pairs[0]
    alike = [(a, b) for a, b in pairs if a.basis == b.basis]
    one, other, names = (
        [a.score or 0.0 for a, _ in alike],
        [b.score or 0.0 for _, b in alike],
        [a.subject for a, _ in alike],
    )
    found = compare(one, other, groups=names) if len(set(names)) >= _RESAMPLED else None
    return Difference(
        one=first.system,
        other=second.system,
        metric=first.metric,
        condition=condition,
        mean=fmean(a - b for a, b in zip(one, other, strict=True)) if alike else None,
        low=found.difference.low if found else None,
        high=found.difference.high if found else None,
        probability=found.probability if found else None,
        n=len(alike),
        subjects=len(set(names)),
        unpaired=unpaired,
        mismatched=len(pairs) - len(alike),
        protocol_id=first.protocol_id,
    )
