"""The ledger: a shard's result is true once, whole, and only after its commit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.errors import PermanentError, RetryableError
from suti.infra.ledger import CommitTooNew, CommitUnreadable, Ledger, NotCommitted, PartCorrupt
from suti.infra.store import ObjectMissing, Store


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Store.open(f"file://{tmp_path}"), "01RUN")


def test_readers_see_nothing_before_the_commit(ledger: Ledger) -> None:
    ledger.draft("experts", 0).write("rows.parquet", b"rows")

    assert ledger.find("experts", 0) is None
    assert not ledger.is_committed("experts", 0)
    assert ledger.commits("experts") == []
    with pytest.raises(NotCommitted, match="ask again later") as waiting:
        ledger.get("experts", 0)
    assert isinstance(waiting.value, RetryableError)


def test_a_commit_is_read_back_as_it_was_made(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 7)
    draft.write("b.tar", b"pictures")
    part = draft.write("a.parquet", b"rows")
    made = draft.commit(counts={"in": 3, "kept": 2}, seconds=1.5, details={"note": "größer"})

    found = Ledger(ledger.store, "01RUN").get("experts", 7)

    assert draft.won
    assert found == made
    assert (found.run_id, found.stage, found.shard, found.fence) == ("01RUN", "experts", 7, draft.fence)
    assert (found.counts, found.seconds, found.details) == ({"in": 3, "kept": 2}, 1.5, {"note": "größer"})
    assert [part.name for part in found.parts] == ["a.parquet", "b.tar"]
    assert found.part("a.parquet") == part
    assert {"suti", "python", "cpu_flags", "torch", "numpy"} <= set(found.versions)
    assert ledger.read(part) == b"rows"


def test_a_part_is_named_with_its_size_and_sha256(ledger: Ledger) -> None:
    part = ledger.draft("experts", 0).write("rows", b"abc")

    assert part.size_bytes == 3
    # FIPS 180-2, appendix B.1
    assert part.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_loser_drops_its_parts_and_is_given_the_winners_commit(ledger: Ledger) -> None:
    first, second = ledger.draft("experts", 0), ledger.draft("experts", 0)
    first.write("rows", b"first")
    lost = second.write("rows", b"second")
    won = first.commit(counts={"n": 1}, seconds=1.0)

    standing = second.commit(counts={"n": 2}, seconds=2.0)

    assert (first.won, second.won) == (True, False)
    assert standing == won
    assert not ledger.store.exists(lost.key)
    assert ledger.read(standing.part("rows")) == b"first"


def test_writers_that_were_given_the_same_fence_do_not_touch_each_others_parts(ledger: Ledger) -> None:
    first, second = ledger.draft("experts", 0, fence="lease-4"), ledger.draft("experts", 0, fence="lease-4")
    first.write("rows", b"first")
    second.write("rows", b"second")
    won = first.commit(counts={}, seconds=0.0)
    second.commit(counts={}, seconds=0.0)

    assert first.fence != second.fence
    assert first.fence.startswith("lease-4-")
    assert ledger.read(won.part("rows")) == b"first"


def test_a_commit_whose_answer_was_lost_is_still_ours(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 0)
    draft.write("rows", b"rows")
    made = draft.commit(counts={}, seconds=0.0)

    again = draft.commit(counts={}, seconds=0.0)  # as if the first answer never came

    assert draft.won
    assert again == made
    assert ledger.read(again.part("rows")) == b"rows"


def test_a_part_written_twice_is_its_last_bytes(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 0)
    draft.write("rows", b"half")
    draft.write("rows", b"whole")

    commit = draft.commit(counts={}, seconds=0.0)

    assert [ledger.read(part) for part in commit.parts] == [b"whole"]


def test_a_draft_that_is_discarded_leaves_nothing(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 0)
    draft.write("rows", b"rows")
    draft.discard()

    assert list(ledger.store.list("")) == []


def test_commits_come_by_shard_and_from_one_stage_only(ledger: Ledger) -> None:
    for stage, shard in (("experts", 10), ("experts", 2), ("filtering", 1), ("experts", 0)):
        ledger.draft(stage, shard).commit(counts={}, seconds=0.0)
    Ledger(ledger.store, "other").draft("experts", 5).commit(counts={}, seconds=0.0)
    ledger.store.put(keys.scratch("01RUN", "experts", 3, "commit.json"), b"not a commit")

    assert [commit.shard for commit in ledger.commits("experts")] == [0, 2, 10]


@pytest.mark.parametrize("damaged", [b"Rows", b"rows and more", b"row", b""])
def test_a_corrupt_part_is_found_and_never_returned(ledger: Ledger, damaged: bytes) -> None:
    draft = ledger.draft("experts", 0)
    part = draft.write("rows", b"rows")
    draft.commit(counts={}, seconds=0.0)
    ledger.store.put(part.key, damaged)

    with pytest.raises(PartCorrupt, match="is not what its commit says") as corrupt:
        ledger.read(part)
    assert isinstance(corrupt.value, PermanentError)


def test_a_part_that_is_gone_or_was_never_there_is_missing(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 0)
    part = draft.write("rows", b"rows")
    commit = draft.commit(counts={}, seconds=0.0)
    ledger.store.delete(part.key)

    with pytest.raises(ObjectMissing):
        ledger.read(part)
    with pytest.raises(ObjectMissing, match=r"pictures\.tar"):
        commit.part("pictures.tar")


def test_a_commit_of_a_later_version_is_read_if_its_format_is_known_and_refused_if_not(ledger: Ledger) -> None:
    made = ledger.draft("experts", 0).commit(counts={}, seconds=0.0)
    key = keys.commit("01RUN", "experts", 0)
    fields = json.loads(ledger.store.get(key))

    ledger.store.put(key, json.dumps(fields | {"energy_joules": 5}).encode())
    assert ledger.get("experts", 0) == made
    ledger.store.put(key, json.dumps(fields | {"format": 2}).encode())
    with pytest.raises(CommitTooNew, match="install a newer Suti"):
        ledger.get("experts", 0)


def test_a_commit_without_parts_says_that_a_shard_was_empty(ledger: Ledger) -> None:
    made = ledger.draft("experts", 0).commit(counts={"in": 0}, seconds=0.0)

    assert ledger.get("experts", 0) == replace(made, parts=())


def test_a_part_of_a_later_version_that_says_more_is_read(ledger: Ledger) -> None:
    draft = ledger.draft("experts", 0)
    draft.write("rows", b"rows")
    made = draft.commit(counts={}, seconds=0.0)
    key = keys.commit("01RUN", "experts", 0)
    fields = json.loads(ledger.store.get(key))
    fields["parts"][0]["compression"] = "zstd"
    ledger.store.put(key, json.dumps(fields).encode())

    assert ledger.get("experts", 0) == made
    assert ledger.commits("experts") == [made]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"format": 1, "parts": 3}', b'{"format": "one"}'])
def test_a_damaged_commit_is_named_in_an_error_of_ours(ledger: Ledger, content: bytes) -> None:
    ledger.store.put(keys.commit("01RUN", "experts", 0), content)

    with pytest.raises(CommitUnreadable, match="01RUN/experts/0"):
        ledger.get("experts", 0)
