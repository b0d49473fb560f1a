"""Follows all objects of one kind: list, then watch from there, for as long as the launcher lives.

What may happen: the server ends a watch (go on from the last version), the version is too old (410: list anew), it is
busy (429: wait as told), broken (5xx, resets, silence, a watch that ends without a word: wait longer each time, go on
from the last version). That a watch opens says nothing yet: it is well again with its first event or bookmark.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from suti.infra.jobs.kubernetes.api import KubernetesApi, WatchStream
from suti.infra.jobs.kubernetes.errors import ApiFault

_FIRST_WAIT_S, _MOST_WAIT_S = 0.1, 30.0

_log = logging.getLogger(__name__)

_Object = Mapping[str, Any]


class Follower:
    """A thread that follows one kind. It never gives up; `problem` says what is in its way just now."""

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        *,
        selector: str,
        listed: Callable[[Iterator[_Object], Callable[[], int]], None],
        changed: Callable[[str, _Object], None],
    ) -> None:
        """Calls back in its own thread.

        Args:
            api: The server.
            path: The kind's, in one namespace.
            selector: Which labels.
            listed: Gets all objects and, once they are read, the version of the list.
            changed: Gets ADDED, MODIFIED or DELETED, and the object.
        """
        self._api = api
        self._path = path
        self._selector = selector
        self._listed = listed
        self._changed = changed
        self._version = ""
        self._stopping = threading.Event()
        self._stream: WatchStream | None = None
        self.kind = path.rsplit("/", 1)[-1]
        self._thread = threading.Thread(target=self._follow, name=f"watch {self.kind}", daemon=True)
        self.synced = threading.Event()
        self.problem: ApiFault | None = None
        # Monotonic; None: what was asked last, list or watch, has told something.
        self.broken_since: float | None = None
        self.lists = 0  # how often all were listed

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within about a second, without waiting for it."""
        self._stopping.set()
        if (stream := self._stream) is not None:
            stream.close()

    def join(self, timeout_s: float) -> None:
        """Waits for the end."""
        self._thread.join(timeout_s)

    def _follow(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopping.is_set():
            try:
                if not self._version:
                    self._version = self._list()
                    self._heard()
                    self.synced.set()
                heard = False
                for version in self._watch(self._version):
                    self._heard()
                    self._version, wait_s, heard = version, _FIRST_WAIT_S, True
                if not heard and not self._stopping.is_set():
                    raise ApiFault(0, "the server ended the watch before it told anything")
                self._stopping.wait(_FIRST_WAIT_S)
            except ApiFault as fault:
                if self._stopping.is_set():
                    return
                if fault.status == 410:
                    _log.info("%s: the version is too old; listing anew", self._path)
                    self._version = ""
                else:
                    self._broke(fault)
                    _log.warning("following %s: %s; again in %.1f s", self._path, fault, wait_s)
                self._stopping.wait(max(fault.retry_after_s, wait_s * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter
                wait_s = min(_MOST_WAIT_S, wait_s * 2)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next list may be good
                self._broke(ApiFault(0, f"an answer that we do not understand: {error!r}"))
                _log.exception("following %s: an event that we do not understand; listing anew", self._path)
                self._version = ""
                self._stopping.wait(wait_s)
                wait_s = min(_MOST_WAIT_S, wait_s * 2)

    def _heard(self) -> None:
        self.problem = self.broken_since = None

    def _broke(self, fault: ApiFault) -> None:
        self.problem = fault
        if self.broken_since is None:
            self.broken_since = time.monotonic()

    def _list(self) -> str:
        version = ""

        def objects() -> Iterator[_Object]:
            nonlocal version
            for items, of_list in self._api.pages(self._path, {"labelSelector": self._selector}):
                version = of_list
                yield from items

        self._listed(objects(), lambda: int(version) if version.isdigit() else 0)
        self.lists += 1
        return version

    def _watch(self, version: str) -> Iterator[str]:
        """The version after each event, until the server ends the watch."""
        query = {"labelSelector": self._selector, "resourceVersion": version}
        with self._api.watch(self._path, query) as stream:
            self._stream = stream
            try:
                if self._stopping.is_set():
                    return
                for kind, found in stream:
                    if kind == "ERROR":
                        raise ApiFault(int(found.get("code") or 500), str(found.get("message", "")))
                    if kind != "BOOKMARK":
                        self._changed(kind, found)
                    yield str(found["metadata"]["resourceVersion"])
            finally:
                self._stream = None
