"""Lists in pages: a token is the place where the next page begins."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from suti.core.errors import InvalidArgument

_DEFAULT = 50
_LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Page[T]:
    """Some items, and the token of those after them; empty on the last page."""

    items: Sequence[T]
    next_token: str


def page_of[T](items: Sequence[T], *, size: int, token: str) -> Page[T]:
    """The page at a token. Raises InvalidArgument for sizes over 1,000 and tokens that are none of ours."""
    size = _checked(size)
    if token and not token.isdecimal():
        raise InvalidArgument("page_token", f"{token[:40]!r} is none: give the next_page_token of the page before")
    start, end = int(token or 0), int(token or 0) + size
    return Page(items=items[start:end], next_token=str(end) if end < len(items) else "")


def page_after[T](items: Iterable[T], *, size: int, token_of: Callable[[T], str]) -> Page[T]:
    """The first page of items that begin behind a token, read no further than needed. Raises InvalidArgument for sizes.

    Tokens are names of items, so that what comes and goes between two calls neither doubles nor hides any.
    """
    size = _checked(size)
    found = list(islice(items, size + 1))
    return Page(items=found[:size], next_token=token_of(found[size - 1]) if len(found) > size else "")


def _checked(size: int) -> int:
    if size > _LARGEST:
        raise InvalidArgument("page_size", f"{size} is too many: ask for {_LARGEST} at most")
    return size or _DEFAULT
