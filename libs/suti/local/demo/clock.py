"""How long each part of a demo took."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Clock:
    """Wall-clock seconds by part, in the order in which they began. Parts may overlap."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        """Times what happens inside."""
        began = time.monotonic()
        self._parts.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._parts[name] += time.monotonic() - began

    def seconds(self) -> dict[str, float]:
        """All parts so far, and `total` since the clock was made."""
        rounded = {name: round(seconds, 2) for name, seconds in self._parts.items()}
        return {**rounded, "total": round(time.monotonic() - self._began, 2)}
