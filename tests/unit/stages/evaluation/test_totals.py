"""Totals and differences of rows, as worked by hand."""

from dataclasses import fields

import pytest

from suti.stages.evaluation.rows import EvaluationRow
from suti.stages.evaluation.totals import differences, totals


def _row(subject: str, sample: int, score: float, *, system: str = "one", against: str = "r") -> EvaluationRow:
    made = dict.fromkeys(field.name for field in fields(EvaluationRow)) | {"references": 3, "references_missing": 0}
    words = {"subject": subject, "sample": sample, "score": score, "system": system, "against_sha256": against}
    texts = {name: "" for name in made if made[name] is None and name not in {"seed", "prompt_number"}}
    return EvaluationRow(**(made | texts | words | {"metric": "dino", "skill": "style", "prompt_number": 0}))  # pyright: ignore[reportArgumentType] - by name


def test_a_difference_is_the_first_less_the_second_as_worked_by_hand() -> None:
    one = [_row("a", 0, 0.9), _row("a", 1, 0.8), _row("b", 0, 0.5)]
    other = [_row("a", 0, 0.6, system="two"), _row("a", 1, 0.6, system="two"), _row("b", 0, 0.6, system="two")]

    found = differences(one, other)[0]

    # a: +0.3 and +0.2; b: -0.1. Resamples: aa 0.25, ab and ba 0.4 / 3, bb -0.1.
    assert found.mean == pytest.approx(0.4 / 3)
    assert (found.low, found.high) == pytest.approx((-0.1, 0.25))
    assert found.probability == pytest.approx(0.75, abs=0.02)


def test_pairs_measured_against_other_references_are_counted_and_not_compared() -> None:
    one, other = (
        [_row("a", 0, 0.9), _row("b", 0, 0.8)],
        [_row("a", 0, 0.6, against="x"), _row("b", 0, 0.6, against="x")],
    )

    found = differences(one, other)[0]

    assert (found.n, found.mismatched, found.mean, found.probability) == (0, 2, None, None)


def test_one_subject_has_a_mean_and_no_interval() -> None:
    rows = [_row("a", 0, 0.9), _row("a", 1, 0.5)]

    (total,) = [one for one in totals(rows) if one.condition == "all"]
    found = differences(rows, [_row("a", 0, 0.6), _row("a", 1, 0.6)])[0]

    assert (total.mean, total.low, total.high, total.subjects) == (pytest.approx(0.7), None, None, 1)
    assert (found.mean, found.low, found.high, found.probability) == (pytest.approx(0.1), None, None, None)
