"""How far jobs are, told through the store where launcher and job share no disk: one small object per index.

The job's side writes the latest word at most every few seconds, in a thread of its own, and only if there is a new one:
so that a job that hangs falls silent. The launcher's side reads what changed since its last look.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from suti.core.errors import SutiError
from suti.infra.jobs.port import Progress
from suti.infra.store import ObjectMissing, Store

_WRITE_S = 5.0
_LOOK_S = 2.0

_log = logging.getLogger(__name__)


def progress_key(prefix: str, index: int) -> str:
    """Where one index says how far it is."""
    return f"{prefix}{index:06d}.json"


class ProgressWriter:
    """The job's side. Never fails the job; never makes it wait for the store."""

    def __init__(self, store: Store, key: str, *, every_s: float = _WRITE_S) -> None:
        self._store = store
        self._key = key
        self._every_s = every_s
        self._latest: bytes | None = None
        self._said = threading.Event()
        self._closing = threading.Event()
        self._words = 0
        self._thread = threading.Thread(target=self._write, name="progress", daemon=True)
        self._thread.start()

    def say(self, progress: Progress) -> None:
        """This is how far it is. Saying the same again still is a sign of life."""
        self._words += 1
        said = {"done": progress.done, "total": progress.total, "note": progress.note, "word": self._words}
        self._latest = json.dumps(said).encode()
        self._said.set()

    def close(self) -> None:
        """The last word is written, unless the store takes longer than some seconds."""
        self._closing.set()
        self._said.set()
        self._thread.join(_WRITE_S)

    def _write(self) -> None:
        while not self._closing.is_set():
            self._said.wait()
            self._said.clear()
            if (latest := self._latest) is not None:
                self._latest = None
                try:
                    self._store.put(self._key, latest)
                except SutiError as error:
                    _log.warning("could not say how far it is: %s", error)
            self._closing.wait(self._every_s)
        if self._latest is not None:
            try:
                self._store.put(self._key, self._latest)
            except SutiError as error:
                _log.warning("could not say how far it was: %s", error)


@dataclass
class _Heard:
    lock: threading.Lock = field(default_factory=threading.Lock)
    looked_at: float = -math.inf
    changed: dict[int, datetime] = field(default_factory=dict[int, datetime])
    said: dict[int, Progress] = field(default_factory=dict[int, Progress])


class ProgressReader:
    """The launcher's side, for many jobs. Calls block."""

    def __init__(self, store: Store, *, every_s: float = _LOOK_S) -> None:
        self._store = store
        self._every_s = every_s
        self._heard: dict[str, _Heard] = {}

    def read(self, prefix: str) -> Mapping[int, Progress]:
        """What each index said last, not older than some seconds. Raises what the store raises."""
        heard = self._heard.setdefault(prefix, _Heard())
        with heard.lock:
            self._look(prefix, heard)
            return dict(heard.said)

    def changes(self, prefix: str) -> Mapping[int, datetime]:
        """When each index said something last, by the store's clock: good for comparing with itself."""
        heard = self._heard.setdefault(prefix, _Heard())
        with heard.lock:
            self._look(prefix, heard)
            return dict(heard.changed)

    def forget(self, prefix: str) -> None:
        """Deletes all that was said there."""
        self._heard.pop(prefix, None)
        for one in self._store.list(prefix):
            self._store.delete(one.key)

    def drop(self, prefix: str) -> None:
        """Remembers no more of it."""
        self._heard.pop(prefix, None)

    def _look(self, prefix: str, heard: _Heard) -> None:
        if time.monotonic() - heard.looked_at < self._every_s:
            return
        heard.looked_at = time.monotonic()
        for one in self._store.list(prefix):
            stem = one.key.rsplit("/", 1)[-1].removesuffix(".json")
            if not stem.isdigit() or heard.changed.get(int(stem)) == one.modified:
                continue
            try:
                told = json.loads(self._store.get(one.key))
                heard.said[int(stem)] = Progress(int(told["done"]), int(told["total"]), str(told.get("note", "")))
            except (ObjectMissing, ValueError, KeyError, TypeError):
                continue
            heard.changed[int(stem)] = one.modified
