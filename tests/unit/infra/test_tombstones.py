"""Tombstones: what somebody wants out is recognised however it is spelled, and a broken list stops everything."""

import json
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.errors import BadConfiguration
from suti.core.records import PictureRow
from suti.infra.store import Store
from suti.infra.tombstones import Tombstones, TombstonesUnreadable, add_tombstones, load_tombstones

PICTURE = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


def test_a_store_without_a_list_buries_nothing(store: Store) -> None:
    tombstones = load_tombstones(store)

    assert tombstones == Tombstones()
    assert not tombstones.covers(picture_id=PICTURE, url="http://a/")
    assert not tombstones.covers()


def test_pictures_and_urls_are_covered_in_every_spelling(store: Store) -> None:
    add_tombstones(store, urls=["HTTP://Example.org:80/page#top"], picture_ids=[PICTURE.upper()])
    tombstones = load_tombstones(store)

    assert tombstones.covers(url="http://example.org/page")
    assert tombstones.covers(url="http://EXAMPLE.org/page#bottom")
    assert tombstones.covers(picture_id=PICTURE)
    assert tombstones.covers(picture_id=PICTURE, url="http://elsewhere/")
    assert not tombstones.covers(picture_id="cd" * 32, url="http://example.org/other")


def test_a_list_written_by_hand_is_read(store: Store) -> None:
    listed = {"format": 1, "urls": ["http://Example.org"], "picture_ids": []}
    store.put(keys.TOMBSTONES, json.dumps(listed).encode())

    assert load_tombstones(store).covers(url="http://example.org/")


def test_adding_keeps_what_was_buried_before(store: Store) -> None:
    add_tombstones(store, urls=["http://a/"])
    add_tombstones(store, picture_ids=[PICTURE])

    assert load_tombstones(store) == Tombstones(frozenset({"http://a/"}), frozenset({PICTURE}))


def test_a_url_that_is_none_is_compared_letter_by_letter(store: Store) -> None:
    tombstones = add_tombstones(store, urls=["http://a:99999999/"])

    assert tombstones.covers(url="http://a:99999999/")
    assert not tombstones.covers(url="http://[broken")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "urls": 5, "picture_ids": []}']
)
def test_a_list_that_cannot_be_read_is_never_taken_for_an_empty_one(store: Store, content: bytes) -> None:
    store.put(keys.TOMBSTONES, content)

    with pytest.raises(TombstonesUnreadable) as unreadable:
        load_tombstones(store)
    assert isinstance(unreadable.value, BadConfiguration)


@pytest.mark.parametrize(
    ("buried", "covered"),
    [
        ({"picture_ids": [PICTURE]}, True),
        ({"urls": ["http://a/1.png"]}, True),
        ({"urls": ["http://a/page"]}, True),
        ({"urls": ["http://a/"]}, False),
    ],
)
def test_a_row_is_covered_for_its_bytes_its_own_url_or_its_page(
    store: Store, buried: dict[str, list[str]], covered: bool
) -> None:
    row = PictureRow(
        picture_id=PICTURE,
        cluster_id="c",
        page_url="http://a/page",
        picture_url="http://a/1.png",
        alt_text="",
        fetched_at="",
        licence="",
        width_px=8,
        height_px=8,
        pixels_sha256="",
        part="",
        offset=0,
        size_bytes=0,
    )

    assert add_tombstones(store, **buried).covers_row(row) is covered
