"""Index sets as short text, the way Kubernetes writes them: `0-3,7`."""

from collections.abc import Iterator, Sequence


def ranges_text(indexes: Sequence[int]) -> str:
    """Ascending numbers as text: `(0, 1, 2, 7)` becomes `0-2,7`. Empty for none."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(indexes))


def ranges_from(text: str) -> tuple[int, ...]:
    """The numbers of such a text, in its order. Raises ValueError."""
    return tuple(number for first, last in _bounds(text) for number in range(first, last + 1))


def ranges_size(text: str) -> int:
    """How many numbers a text has, without making them. Raises ValueError."""
    return sum(last - first + 1 for first, last in _bounds(text))


def ranges_at(text: str, position: int) -> int:
    """The number at a 0-based position of a text. Raises ValueError, IndexError."""
    for first, last in _bounds(text):
        if position <= last - first:
            return first + position
        position -= last - first + 1
    raise IndexError(position)


def _bounds(text: str) -> Iterator[tuple[int, int]]:
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield int(first), int(last or first)


def _runs(indexes: Sequence[int]) -> Iterator[tuple[int, int]]:
    first: int | None = None
    last = 0
    for index in indexes:
        if first is not None and index == last + 1:
            last = index
            continue
        if first is not None:
            yield first, last
        first = last = index
    if first is not None:
        yield first, last
