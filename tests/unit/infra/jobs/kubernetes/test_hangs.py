from datetime import UTC, datetime

from suti.infra.jobs.kubernetes.hangs import Silences

THEN, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def test_a_pod_hangs_once_it_said_nothing_for_the_limit() -> None:
    silences = Silences()

    assert silences.hanging({"a": THEN, "b": None}, now_s=0, limit_s=10) == []
    assert silences.hanging({"a": THEN, "b": None}, now_s=10, limit_s=10) == []
    assert silences.hanging({"a": LATER, "b": None}, now_s=11, limit_s=10) == ["b"]
    assert silences.hanging({"a": LATER}, now_s=22, limit_s=10) == ["a"]


def test_a_pod_that_replaces_another_has_its_time() -> None:
    silences = Silences()
    silences.hanging({"first": THEN}, now_s=0, limit_s=10)

    # What is read is still what the first one said.
    assert silences.hanging({"second": THEN}, now_s=20, limit_s=10) == []
    assert silences.hanging({"second": THEN}, now_s=31, limit_s=10) == ["second"]
