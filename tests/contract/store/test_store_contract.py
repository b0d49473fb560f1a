"""What every store promises: the same tests against a local folder and a real MinIO server."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from suti.infra.store import BadKey, ObjectMissing, RangeOutsideObject, Store

MULTIPART_BYTES = 17 * 1024 * 1024  # more than obstore sends in one request


def test_what_was_put_is_read_back_by_another_worker(store: Store, open_again: Callable[[], Store]) -> None:
    store.put("runs/a/run.json", b"\x00\xff one")

    assert open_again().get("runs/a/run.json") == b"\x00\xff one"
    assert open_again().size("runs/a/run.json") == 6


def test_put_replaces_what_was_there(store: Store) -> None:
    store.put("a", b"long before")
    store.put("a", b"short")

    assert store.get("a") == b"short"


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.put("empty", b"")

    assert store.exists("empty")
    assert store.get("empty") == b""
    assert store.get_range("empty", offset=0, length=0) == b""


def test_an_object_larger_than_one_request_comes_back_whole(store: Store) -> None:
    data = bytes(range(256)) * (MULTIPART_BYTES // 256)
    store.put("large.tar", data)

    assert store.get("large.tar") == data
    assert store.create("large2.tar", data)
    assert store.size("large2.tar") == len(data)


def test_a_missing_object_is_named_with_its_key(store: Store) -> None:
    reads: list[Callable[[str], object]] = [
        store.get,
        store.size,
        lambda key: store.get_range(key, offset=0, length=1),
    ]
    for call in reads:
        with pytest.raises(ObjectMissing, match=r"no object 'runs/none'.*check that the run's data was not deleted"):
            call("runs/none")
    assert not store.exists("runs/none")


def test_a_folder_is_no_object(store: Store) -> None:
    store.put("runs/a/x", b"1")

    assert not store.exists("runs/a")


@pytest.mark.parametrize(("offset", "length", "expected"), [(0, 3, b"abc"), (2, 4, b"cdef"), (6, 0, b""), (5, 1, b"f")])
def test_a_range_is_exactly_the_bytes_asked_for(store: Store, offset: int, length: int, expected: bytes) -> None:
    store.put("letters", b"abcdef")

    assert store.get_range("letters", offset=offset, length=length) == expected


@pytest.mark.parametrize(("offset", "length"), [(4, 3), (6, 1), (99, 1), (7, 0), (-1, 2), (0, -1)])
def test_a_range_that_leaves_the_object_is_refused_and_never_cut(store: Store, offset: int, length: int) -> None:
    store.put("letters", b"abcdef")

    with pytest.raises(RangeOutsideObject):
        store.get_range("letters", offset=offset, length=length)


def test_create_writes_once_and_leaves_the_first_bytes(store: Store) -> None:
    assert store.create("commit.json", b"first")
    assert not store.create("commit.json", b"second")

    assert store.get("commit.json") == b"first"


def test_what_was_deleted_can_be_created_anew(store: Store) -> None:
    assert store.create("a", b"1")
    store.delete("a")

    assert not store.exists("a")
    assert store.create("a", b"2")


def test_deleting_what_is_not_there_is_no_error(store: Store) -> None:
    store.delete("runs/none")


def test_a_listing_is_sorted_and_has_sizes_and_times(store: Store) -> None:
    for key in ("runs/b", "runs/a/2", "runs/a/10", "subjects/s", "runs/a/1"):
        store.put(key, key.encode())

    found = list(store.list("runs/"))

    assert [info.key for info in found] == ["runs/a/1", "runs/a/10", "runs/a/2", "runs/b"]
    assert [info.size_bytes for info in found] == [8, 9, 8, 6]
    assert all(abs(datetime.now(UTC) - info.modified) < timedelta(minutes=5) for info in found)


def test_a_listing_takes_whole_folder_names(store: Store) -> None:
    store.put("runs/ab/x", b"")
    store.put("runs/a/x", b"")

    assert [info.key for info in store.list("runs/a/")] == ["runs/a/x"]
    assert [info.key for info in store.list("runs/a")] == ["runs/a/x"]
    assert [info.key for info in store.list("")] == ["runs/a/x", "runs/ab/x"]
    assert list(store.list("runs/none/")) == []


def test_folders_are_named_once_each_without_the_objects_beside_them(store: Store) -> None:
    for key in ("runs/b/run.json", "runs/a/x/1", "runs/a/x/2", "runs/note.txt", "runsother/c/1"):
        store.put(key, b"")

    assert store.folders("runs/") == ("a", "b")
    assert store.folders("nothing/") == ()


def test_a_listing_of_more_than_one_page_is_whole(store: Store) -> None:
    for number in range(1005):
        store.put(f"many/{number:04d}", b"")

    assert [info.key for info in store.list("many/")] == [f"many/{number:04d}" for number in range(1005)]


def test_objects_may_be_deleted_while_a_listing_is_walked(store: Store) -> None:
    for number in range(20):
        store.put(f"old/{number:02d}", b"")

    for info in store.list("old/"):
        store.delete(info.key)

    assert list(store.list("old/")) == []


@pytest.mark.parametrize(
    "key", ["a b/c", "ümläut/猫.png", "per%20cent+plus", "hash#x", "query?a=b&c", "dots...", "~tilde"]
)
def test_a_key_is_taken_letter_by_letter(store: Store, key: str) -> None:
    store.put(key, b"1")

    assert store.get(key) == b"1"
    assert [info.key for info in store.list("")] == [key]


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "a/./b", "a/", "new\nline", "part#1", "part#1/a"])
def test_a_key_that_one_store_could_not_hold_is_refused_by_both(store: Store, key: str) -> None:
    calls: list[Callable[[str], object]] = [
        store.get,
        store.delete,
        store.exists,
        lambda key: store.put(key, b""),
        lambda key: store.create(key, b""),
    ]
    for call in calls:
        with pytest.raises(BadKey):
            call(key)
