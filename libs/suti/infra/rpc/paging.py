"""Lists in pages: a token names the last item of the page before."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from suti.core.errors import InvalidArgument

_DEFAULT = 50
_LARGEST = 1_000


@dataclass(frozen=True, slots=True)
class Page[T]:
    """Some items, and the token of those after them; empty on the last page."""

    items: Sequence[T]
    next_token: str


def page_of[T](
    items: Iterable[T], *, size: int, token: str, token_of: Callable[[T], str], newest_first: bool = False
) -> Page[T]:
    """The page behind a token, of items in the order of their tokens (`newest_first`: the last of them first).

    Tokens are names of items, so that what comes and goes between two calls neither doubles nor hides any.
    Raises InvalidArgument for sizes over 1,000.
    """

    def is_behind(item: T) -> bool:
        return token_of(item) < token if newest_first else token_of(item) > token

    behind = (item for item in items if is_behind(item)) if token else items
    return page_after(behind, size=size, token_of=token_of)


def time_token(at: datetime, name: str) -> str:
    """A token in the order of time; `name` tells apart what happened at once."""
    return f"{at.astimezone(UTC).isoformat(timespec='microseconds')} {name}"


def page_after[T](items: Iterable[T], *, size: int, token_of: Callable[[T], str]) -> Page[T]:
    """The same of items that begin behind a token, read no further than needed."""
    size = _checked(size)
    found = list(islice(items, size + 1))
    return Page(items=found[:size], next_token=token_of(found[size - 1]) if len(found) > size else "")


def _checked(size: int) -> int:
    if size > _LARGEST:
        raise InvalidArgument("page_size", f"{size} is too many: ask for {_LARGEST} at most")
    return size or _DEFAULT
