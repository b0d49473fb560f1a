"""The data set's digest against lines written by hand."""

import hashlib
from dataclasses import replace

import pytest

from suti.stages.digest import JudgedCandidate, dataset_digest

FIRST = JudgedCandidate("aa", "11", "a red cup", (("p2", "cup two"), ("p1", "Tasse für eins")), kept=True)
SECOND = JudgedCandidate("bb", "22", 'a "quoted" cup', (), kept=False)


def test_the_digest_is_sha256_over_sorted_json_lines() -> None:
    lines = '["aa","11","a red cup",[["p1","Tasse für eins"],["p2","cup two"]],true]\n'
    lines += '["bb","22","a \\"quoted\\" cup",[],false]\n'

    assert dataset_digest([SECOND, FIRST]) == hashlib.sha256(lines.encode("utf-8")).hexdigest()


def test_the_order_of_rows_and_demonstrations_changes_nothing() -> None:
    turned = replace(FIRST, demonstrations=FIRST.demonstrations[::-1])

    assert dataset_digest([turned, SECOND]) == dataset_digest([SECOND, FIRST])


@pytest.mark.parametrize(
    "other",
    [
        replace(FIRST, candidate_id="ac"),
        replace(FIRST, pixels_sha256="12"),
        replace(FIRST, prompt="a blue cup"),
        replace(FIRST, demonstrations=FIRST.demonstrations[:1]),
        replace(FIRST, kept=False),
    ],
)
def test_whatever_the_apprentice_would_see_changes_the_digest(other: JudgedCandidate) -> None:
    assert dataset_digest([other, SECOND]) != dataset_digest([FIRST, SECOND])


def test_an_empty_data_set_has_the_digest_of_nothing() -> None:
    assert dataset_digest([]) == hashlib.sha256(b"").hexdigest()
