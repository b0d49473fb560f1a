import pytest

from suti.core.errors import InvalidArgument
from suti.infra.rpc.paging import page_after, page_of


def test_pages_of_a_list_are_the_list() -> None:
    first = page_of("abcde", size=2, token="")
    second = page_of("abcde", size=2, token=first.next_token)
    last = page_of("abcde", size=2, token=second.next_token)

    assert [*first.items, *second.items, *last.items] == list("abcde")
    assert last.next_token == ""


def test_a_page_that_ends_with_the_list_has_no_next_one() -> None:
    assert page_of("abcd", size=4, token="").next_token == ""
    assert page_after(iter("abcd"), size=4, token_of=str).next_token == ""


def test_a_page_after_a_token_reads_no_further_than_one_more() -> None:
    items = iter("abcde")

    page = page_after(items, size=2, token_of=str.upper)

    assert (list(page.items), page.next_token) == (["a", "b"], "B")
    assert list(items) == ["d", "e"]


def test_no_size_is_fifty() -> None:
    assert len(page_of(range(200), size=0, token="").items) == 50
    assert len(page_after(range(200), size=0, token_of=str).items) == 50


@pytest.mark.parametrize("token", ["x", "-1", "1.5"])
def test_a_token_that_is_none_of_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        page_of("abc", size=1, token=token)

    assert refused.value.field == "page_token"


def test_pages_of_over_a_thousand_are_refused() -> None:
    for refuses in (lambda: page_of("abc", size=1001, token=""), lambda: page_after("abc", size=1001, token_of=str)):
        with pytest.raises(InvalidArgument, match="1000 at most"):
            refuses()
