from datetime import UTC, datetime, timedelta, timezone

import pytest

from suti.core.errors import InvalidArgument
from suti.infra.rpc.paging import page_after, page_of, time_token


def test_pages_of_a_list_are_the_list() -> None:
    first = page_of("abcde", size=2, token="", token_of=str)
    second = page_of("abcde", size=2, token=first.next_token, token_of=str)
    last = page_of("abcde", size=2, token=second.next_token, token_of=str)

    assert [*first.items, *second.items, *last.items] == list("abcde")
    assert last.next_token == ""


def test_what_comes_between_two_pages_of_a_list_of_the_newest_doubles_nothing() -> None:
    first = page_of("dcba", size=2, token="", token_of=str, newest_first=True)
    second = page_of("fedcba", size=2, token=first.next_token, token_of=str, newest_first=True)

    assert [*first.items, *second.items] == list("dcba")


def test_what_goes_between_two_pages_hides_nothing() -> None:
    first = page_of("dcba", size=2, token="", token_of=str, newest_first=True)
    second = page_of("ba", size=2, token=first.next_token, token_of=str, newest_first=True)

    assert [*first.items, *second.items] == list("dcba")


def test_times_are_told_in_one_order_whatever_their_zone_and_fraction() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    elsewhere = (noon + timedelta(milliseconds=1)).astimezone(timezone(timedelta(hours=-5)))

    assert time_token(noon, "b") < time_token(noon, "c") < time_token(elsewhere, "a")


def test_a_page_that_ends_with_the_list_has_no_next_one() -> None:
    assert page_of("abcd", size=4, token="", token_of=str).next_token == ""
    assert page_after(iter("abcd"), size=4, token_of=str).next_token == ""


def test_a_page_after_a_token_reads_no_further_than_one_more() -> None:
    items = iter("abcde")

    page = page_after(items, size=2, token_of=str.upper)

    assert (list(page.items), page.next_token) == (["a", "b"], "B")
    assert list(items) == ["d", "e"]


def test_no_size_is_fifty() -> None:
    assert len(page_of(range(200), size=0, token="", token_of="{:03d}".format).items) == 50
    assert len(page_after(range(200), size=0, token_of=str).items) == 50


def test_pages_of_over_a_thousand_are_refused() -> None:
    for refuses in (
        lambda: page_of("abc", size=1001, token="", token_of=str),
        lambda: page_after("abc", size=1001, token_of=str),
    ):
        with pytest.raises(InvalidArgument, match="1000 at most"):
            refuses()
