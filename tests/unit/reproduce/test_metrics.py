"""Metrics tell the subject itself from a stranger of its class."""

import pytest

from suti.local.demo.unseen import stranger_renders, true_renders
from suti.reproduce.metrics import Metric, all_metrics
from suti.reproduce.subject_sets import SubjectSet


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda one: "+".join(one.names))
def test_the_subject_scores_higher_than_a_stranger(metric: Metric) -> None:
    above: list[bool] = []
    for number in range(3):
        asked = SubjectSet(subjects=3).asked(number)
        true_ones, strangers = (
            metric.measure(asked, draw(asked.unseen, asked.wanted, 2, size_px=32))
            for draw in (true_renders, stranger_renders)
        )
        assert set(true_ones) == set(metric.names)
        likeness = metric.names[-1]  # CLIP-T knows no subject
        above.append(sum(true_ones[likeness]) > sum(strangers[likeness]))
    assert sum(above) >= 2


def test_metrics_have_versions_of_their_own() -> None:
    versions = [one.version for one in all_metrics()]
    assert len(set(versions)) == len(versions)
    assert all(versions)
