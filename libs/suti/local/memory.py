"""The most memory that this process and all that it started held together."""

import threading
from types import TracebackType
from typing import Self

from suti.local.process import family_rss_bytes


class MemoryWatch:
    """Looks every half second while it is entered."""

    def __init__(self, every_s: float = 0.5) -> None:
        self.peak_bytes = 0
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, family_rss_bytes())
            if self._stop.wait(self._every_s):
                return
