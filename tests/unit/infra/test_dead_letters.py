"""Dead letters as objects: damaged ones and those of later versions harm no other."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suti.core import keys
from suti.infra.dead_letters import DeadLetter, DeadLetters, LetterUnreadable
from suti.infra.store import Store

LETTER = DeadLetter(
    letter_id="01JD0000000000000000000001",
    subject="suti.v1.experts.shard.01RUN.0",
    body=b"ticket",
    reason="STORE_UNAVAILABLE",
    message="away",
    run_id="01RUN",
    stage="experts",
    shard=0,
    deliveries=3,
    trace_id="",
    at=datetime(2026, 1, 2, tzinfo=UTC),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"body": 5, "at": ""}'])
def test_a_damaged_letter_hides_no_other_and_is_named_when_asked_for(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    letters = DeadLetters(store)
    letters.record(LETTER)
    store.put(keys.dead_letter("01JD0000000000000000000009"), content)

    assert letters.list() == [LETTER]
    assert "01JD0000000000000000000009" in caplog.text
    with pytest.raises(LetterUnreadable):
        letters.get("01JD0000000000000000000009")
    letters.drop("01JD0000000000000000000009")
    assert [info.key for info in store.list(keys.DEAD_LETTERS)] == [keys.dead_letter(LETTER.letter_id)]


def test_a_letter_of_a_later_version_that_says_more_and_one_of_an_earlier_that_says_less_are_read(store: Store) -> None:
    fields = json.loads(LETTER.to_json())
    key = keys.dead_letter(LETTER.letter_id)

    store.put(key, json.dumps(fields | {"mood": "bad"}).encode())
    assert DeadLetters(store).get(LETTER.letter_id) == LETTER
    del fields["bad_data"]  # those before it were all for somebody to decide
    store.put(key, json.dumps(fields).encode())
    assert DeadLetters(store).get(LETTER.letter_id) == replace(LETTER, bad_data=False)
