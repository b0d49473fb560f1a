"""How few steps are enough is read from rows as the page says."""

import pytest

from suti.report.facts import Score
from suti.reproduce.rows import Row, missing_row, score_row
from suti.reproduce.samplers import REFERENCE, STEPS, SYSTEM, enough, finding, said, samplers
from suti.reproduce.scale import Scale

METRIC = "clip_t"


def row(condition: str, mean: float | None) -> Row:
    names = {"experiment": "samplers", "condition": condition, "system": SYSTEM, "metric": METRIC, "protocol_id": "p"}
    if mean is None:
        return missing_row(**names)
    return score_row(Score(mean=mean, low=mean, high=mean, n=500), **names, seeds=3)


def rows(*means: float | None) -> list[Row]:
    return [row(REFERENCE, 0.5), *(row(said("unipc", steps), mean) for steps, mean in zip(STEPS, means, strict=True))]


@pytest.mark.parametrize(
    ("means", "steps"),
    [
        ((0.1, 0.2, 0.494, 0.495, 0.5, 0.51, 0.5), 10),  # 0.495 is 99 % of 0.5
        ((0.1, 0.5, 0.2, 0.5, 0.5, 0.5, 0.5), 10),  # one good throw of 6 steps is no proof
        ((0.5,) * 7, 4),
        ((0.1,) * 7, None),
        ((0.5, 0.5, None, 0.5, 0.5, 0.5, 0.5), None),
    ],
)
def test_steps_are_enough_from_where_no_larger_number_falls_below_the_share(
    means: tuple[float | None, ...], steps: int | None
) -> None:
    assert enough(rows(*means), "unipc", METRIC) == steps


def test_without_the_reference_nothing_is_enough() -> None:
    assert enough(rows(*[0.5] * 7)[1:], "unipc", METRIC) is None


def test_the_finding_says_from_where_on_or_that_it_was_not_run() -> None:
    few = [row(said("dpmsolver++", steps), 0.1) for steps in STEPS]

    told = finding([*rows(*[0.5] * 7), *few])

    assert "- unipc: identification not run, CLIP-T from 4 steps on" in told
    assert "- dpmsolver++: identification not run, CLIP-T not even with 32" in told
    assert "CLIP-T not run" in finding(rows(0.5, 0.5, None, 0.5, 0.5, 0.5, 0.5))


def test_all_samplers_draw_the_same_subjects_and_differ_in_nothing_but_sampler_and_steps() -> None:
    conditions = [one for one in samplers(Scale()).conditions if one.system == SYSTEM]

    assert len(conditions) == 1 + 2 * len(STEPS)
    assert len({one.protocol_id for one in conditions}) == 1
    drawn = [one.drawings[0] for one in conditions]
    assert len({one.sampling.model_dump_json(exclude={"sampler", "steps"}) for one in drawn if one.sampling}) == 1
    assert len({one.model_dump_json(exclude={"sampling"}) for one in drawn}) == 1
