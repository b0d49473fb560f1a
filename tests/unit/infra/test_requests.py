"""Request ids: a call that is sent twice is answered once, and an id belongs to one body."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from suti.core.errors import InvalidArgument, PermanentError
from suti.core.ids import new_request_id
from suti.infra.requests import RequestIdReused, RequestLedger
from suti.infra.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


@pytest.fixture
def requests(store: Store) -> RequestLedger:
    return RequestLedger(store, "generation")


def test_a_recorded_answer_is_found_by_every_replica(store: Store, requests: RequestLedger) -> None:
    request_id = new_request_id()

    assert requests.find(request_id, body_sha256="body") is None
    assert requests.record(request_id, "body", b"\x00answer") == b"\x00answer"
    assert RequestLedger(store, "generation").find(request_id, body_sha256="body") == b"\x00answer"


def test_the_first_answer_stands_and_the_second_caller_is_given_it(requests: RequestLedger) -> None:
    request_id = new_request_id()

    assert requests.record(request_id, "body", b"first") == b"first"
    assert requests.record(request_id, "body", b"second") == b"first"


def test_the_same_id_with_another_body_is_refused(requests: RequestLedger) -> None:
    request_id = new_request_id()
    requests.record(request_id, "body", b"answer")

    with pytest.raises(RequestIdReused, match="make a new UUID4") as reused:
        requests.find(request_id, body_sha256="other")
    with pytest.raises(RequestIdReused):
        requests.record(request_id, "other", b"answer")
    assert isinstance(reused.value, PermanentError)


def test_services_do_not_share_request_ids(store: Store, requests: RequestLedger) -> None:
    request_id = new_request_id()
    requests.record(request_id, "body", b"answer")

    assert RequestLedger(store, "experts").find(request_id, body_sha256="body") is None


def test_spellings_of_one_uuid_are_one_request(requests: RequestLedger) -> None:
    request_id = new_request_id()
    requests.record(request_id.upper(), "body", b"answer")

    assert requests.find(request_id, body_sha256="body") == b"answer"


@pytest.mark.parametrize("request_id", ["", "1", "../../runs/x", "x" * 10_000])
def test_an_id_that_is_no_uuid_is_refused_and_never_becomes_a_key(requests: RequestLedger, request_id: str) -> None:
    with pytest.raises(InvalidArgument, match="send a UUID4"):
        requests.find(request_id, body_sha256="body")
    with pytest.raises(InvalidArgument):
        requests.record(request_id, "body", b"answer")


def test_an_answer_is_kept_for_a_day_and_then_swept(requests: RequestLedger) -> None:
    request_id = new_request_id()
    requests.record(request_id, "body", b"answer")
    now = datetime.now(UTC)

    assert requests.sweep(now=now + timedelta(hours=23)) == 0
    assert requests.find(request_id, body_sha256="body") == b"answer"
    assert requests.sweep(now=now + timedelta(hours=25)) == 1
    assert requests.find(request_id, body_sha256="body") is None
