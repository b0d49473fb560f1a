"""Tombstones: what somebody wants out is recognised however it is spelled, and a broken one stops everything."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suti.core import keys
from suti.core.errors import BadConfiguration, InvalidArgument, NotFound
from suti.core.records import PictureRow
from suti.infra.store import Store
from suti.infra.tombstones import (
    Tombstone,
    Tombstones,
    TombstonesUnreadable,
    add_tombstone,
    list_tombstones,
    load_tombstones,
    remove_tombstone,
)

PICTURE = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"file://{tmp_path}")


def test_a_store_without_tombstones_buries_nothing(store: Store) -> None:
    tombstones = load_tombstones(store)

    assert tombstones == Tombstones()
    assert not tombstones.covers(picture_id=PICTURE, url="http://a/")
    assert not tombstones.covers()


def test_pictures_and_urls_are_covered_in_every_spelling(store: Store) -> None:
    add_tombstone(store, Tombstone.of(urls=["HTTP://Example.org:80/page#top"], picture_ids=[PICTURE.upper()]))
    tombstones = load_tombstones(store)

    assert tombstones.covers(url="http://example.org/page")
    assert tombstones.covers(url="http://EXAMPLE.org/page#bottom")
    assert tombstones.covers(picture_id=PICTURE)
    assert tombstones.covers(picture_id=PICTURE, url="http://elsewhere/")
    assert not tombstones.covers(picture_id="cd" * 32, url="http://example.org/other")


def test_who_wanted_it_and_why_is_kept(store: Store) -> None:
    first = Tombstone.of(urls=["http://a/"], why="ticket 7", by="ann")
    second = Tombstone.of(picture_ids=[PICTURE])
    for one in (first, second):
        add_tombstone(store, one)

    assert list_tombstones(store) == [second, first]


def test_of_many_at_once_none_is_lost(store: Store) -> None:
    urls = [f"http://a/{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for url in urls:
            pool.submit(add_tombstone, store, Tombstone.of(urls=[url]))

    assert load_tombstones(store).urls == set(urls)


def test_what_is_taken_back_may_be_used_again(store: Store) -> None:
    mistake = Tombstone.of(urls=["http://a/"])
    add_tombstone(store, mistake)

    remove_tombstone(store, mistake.tombstone_id)

    assert load_tombstones(store) == Tombstones()
    with pytest.raises(NotFound):
        remove_tombstone(store, mistake.tombstone_id)


def test_a_url_that_is_none_is_compared_letter_by_letter(store: Store) -> None:
    add_tombstone(store, Tombstone.of(urls=["http://a:99999999/"]))

    assert load_tombstones(store).covers(url="http://a:99999999/")
    assert not load_tombstones(store).covers(url="http://[broken")


@pytest.mark.parametrize(
    ("urls", "picture_ids"),
    [([], []), ([], ["ab"]), (["not a url"], []), ([f"http://a/{n}" for n in range(10_001)], [])],
)
def test_nothing_too_much_and_what_is_no_digest_are_refused(urls: list[str], picture_ids: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        Tombstone.of(urls=urls, picture_ids=picture_ids)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "urls": 5}'])
def test_one_that_cannot_be_read_is_never_passed_over(store: Store, content: bytes) -> None:
    add_tombstone(store, Tombstone.of(urls=["http://a/"]))
    store.put(keys.tombstone("broken"), content)

    with pytest.raises(TombstonesUnreadable, match="broken") as unreadable:
        load_tombstones(store)
    assert isinstance(unreadable.value, BadConfiguration)


@pytest.mark.parametrize(
    ("buried", "covered"),
    [
        (Tombstone.of(picture_ids=[PICTURE]), True),
        (Tombstone.of(urls=["http://a/1.png"]), True),
        (Tombstone.of(urls=["http://a/page"]), True),
        (Tombstone.of(urls=["http://a/"]), False),
    ],
)
def test_a_row_is_covered_for_its_bytes_its_own_url_or_its_page(store: Store, buried: Tombstone, covered: bool) -> None:
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

    add_tombstone(store, buried)

    assert load_tombstones(store).covers_row(row) is covered
