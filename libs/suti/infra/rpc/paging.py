"""Lists in pages: a token is the place where the next page begins."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    if size > _LARGEST:
        raise InvalidArgument("page_size", f"{size} is too many: ask for {_LARGEST} at most")
    if token and not token.isdecimal():
        raise InvalidArgument("page_token", f"{token[:40]!r} is none: give the next_page_token of the page before")
    start, end = int(token or 0), int(token or 0) + (size or _DEFAULT)
    return Page(items=items[start:end], next_token=str(end) if end < len(items) else "")
