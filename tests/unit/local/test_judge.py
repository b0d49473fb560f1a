from dataclasses import replace

import pytest
import torch
from PIL import Image

from suti.local.demo.judge import Judged, difference, scores, stacked
from suti.local.demo.unseen import stranger_renders, true_renders, unseen_subjects
from suti.toyworld.oracle.lineup import Answer, Lineup
from suti.toyworld.seeds import Namespace, namespace_of


def judged(group: str, sample: int, value: float, *, right: bool, as_asked: bool = True) -> Judged:
    return Judged(group, "a photo of a cat", sample, clip_t=value, clip_i=value / 2, answer=Answer(right, as_asked))


def test_models_are_compared_picture_by_picture() -> None:
    better = [judged("a", 0, 0.5, right=True), judged("a", 1, 0.4, right=True), judged("b", 0, 0.9, right=False)]
    worse = [replace(one, clip_t=one.clip_t - 0.1, answer=Answer(False, True)) for one in reversed(better)]

    added = difference(better, worse)

    assert added.clip_t.mean == pytest.approx(0.1)
    assert (added.clip_t.low, added.clip_t.high) == pytest.approx((0.1, 0.1))
    assert added.identified_16way.mean == pytest.approx(2 / 3)
    assert added.identified_16way.n == 3


def test_the_share_identified_counts_pictures() -> None:
    told = scores([judged("a", 0, 0.5, right=True), judged("b", 0, 0.3, right=False)])

    assert told.identified_16way.mean == pytest.approx(0.5)
    assert told.clip_t.mean == pytest.approx(0.4)
    assert told.clip_i.n == 2


def test_right_overall_is_the_subject_as_it_was_asked_for() -> None:
    told = scores(
        [
            judged("a", 0, 0.5, right=True),
            judged("a", 1, 0.5, right=True, as_asked=False),
            judged("b", 0, 0.5, right=False),
            judged("b", 1, 0.5, right=False, as_asked=False),
        ]
    )

    assert told.identified_16way.mean == told.follows_prompt.mean == pytest.approx(0.5)
    assert told.overall.mean == pytest.approx(0.25)


def test_subjects_of_a_demo_are_those_that_no_training_may_use() -> None:
    unseen = unseen_subjects(4, demonstrations=2, prompts_each=1, size_px=32, seed=0)

    assert {namespace_of(one.subject) for one in unseen} == {Namespace.EVALUATION}
    assert all(one.subject.colour_body not in demo.text for one in unseen for demo in one.demonstrations)


def test_true_renders_are_identified_and_strangers_are_not() -> None:
    torch.set_num_threads(1)
    (one,) = unseen_subjects(1, demonstrations=1, prompts_each=1, size_px=32, seed=1)
    wanted, lineup = one.wanted[0], Lineup(one.subject, one.others)

    right = lineup.identified(true_renders(one, wanted, 6, size_px=32), wanted.view)
    wrong = lineup.identified(stranger_renders(one, wanted, 6, size_px=32), wanted.view)

    assert sum(right) >= 5
    assert sum(wrong) <= 2


def test_pictures_of_any_size_are_brought_to_one_that_the_oracle_takes() -> None:
    assert stacked([Image.new("RGB", (48, 48)), Image.new("RGB", (48, 48))]).shape == (2, 3, 32, 32)
    assert stacked([Image.new("RGB", (64, 64))]).shape == (1, 3, 32, 32)
