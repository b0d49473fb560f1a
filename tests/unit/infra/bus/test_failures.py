"""Whether a ticket gets another try, worked out by hand for each kind of failure."""

import pytest

from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError
from suti.infra.bus.failures import Failures, Patience, WorkCrashed, after, is_bad_data, is_free, without

PATIENCE = Patience(crashes=3, retry_for_s=100.0, refusals=2, refused_for_s=50.0, backoff_s=(1.0, 5.0))


class Preempted(RetryableError):
    reason = "PREEMPTED"
    exit_code = ExitCode.TERMINATED


def tell(error: Exception, before: Failures, *, worker: str = "a", now_s: float = 1000.0) -> Failures | None:
    return after(error, before, worker=worker, began_s=now_s, now_s=now_s, patience=PATIENCE)


def test_what_passes_by_itself_is_tried_again_by_time_however_often_it_failed() -> None:
    told = tell(RetryableError("away"), Failures(tries=500, since_s=901.0))

    assert told == Failures(tries=501, since_s=901.0, wait_s=5.0)
    assert tell(RetryableError("away"), Failures(tries=2, since_s=900.0)) is None


def test_the_time_runs_from_the_first_failure_and_the_waits_grow_to_the_last_one() -> None:
    first = tell(RetryableError("away"), Failures())
    assert first is not None
    assert first == Failures(tries=1, since_s=1000.0, wait_s=1.0)
    assert tell(RetryableError("away"), first, now_s=1001.0) == Failures(tries=2, since_s=1000.0, wait_s=5.0)


def test_work_that_takes_longer_than_the_retries_has_a_second_try() -> None:
    away = RetryableError("away")

    first = after(away, Failures(), worker="a", began_s=1000.0, now_s=9000.0, patience=PATIENCE)

    assert first is not None
    assert after(away, first, worker="a", began_s=9001.0, now_s=17_000.0, patience=PATIENCE) is not None


@pytest.mark.parametrize("error", [KeyError("surprise"), WorkCrashed("killed")])
def test_crashes_and_what_nobody_foresaw_are_counted(error: Exception) -> None:
    told = tell(error, Failures(tries=1, crashes=1, since_s=1.0))

    assert told is not None
    assert told.crashes == 2
    assert tell(error, told) is None


def test_one_host_that_refuses_for_its_configuration_ends_nothing_and_several_do() -> None:
    told = tell(BadConfiguration("no models"), Failures(), worker="a")
    assert told is not None
    again = tell(BadConfiguration("no models"), told, worker="a", now_s=1001.0)
    assert again is not None
    assert again.refused_by == ("a",)

    assert tell(BadConfiguration("no models"), again, worker="b", now_s=1001.0) is None
    assert tell(BadConfiguration("no models"), again, worker="a", now_s=1050.0) is None  # for too long


def test_bad_data_is_given_up_at_once_and_alone_counts_as_the_shards_own_fault() -> None:
    assert tell(PermanentError("row 3"), Failures()) is None

    assert is_bad_data(PermanentError("row 3"))
    assert not any(map(is_bad_data, (BadConfiguration("x"), RetryableError("x"), WorkCrashed("x"), KeyError("x"))))


def test_being_asked_to_stop_is_free() -> None:
    assert is_free(Preempted("a shard"))
    assert not any(map(is_free, (RetryableError("x"), KeyError("x"))))


def test_failures_travel_in_a_header_beside_others_and_what_a_later_version_adds_is_passed_over() -> None:
    failures = Failures(tries=3, crashes=1, since_s=12.5, refused_by=("a", "b"), wait_s=5.0)
    headers = {"traceparent": "00-1-2-01", **failures.header()}

    assert Failures.read(headers) == failures
    assert Failures.read({"Suti-Failures": '{"tries": 2, "refused_by": [], "mood": "bad"}'}) == Failures(tries=2)
    assert without(headers) == {"traceparent": "00-1-2-01"}


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "junk"])
def test_a_header_that_says_nothing_readable_says_nothing(text: str) -> None:
    assert Failures.read({"Suti-Failures": text}) == Failures.read(None) == Failures()
