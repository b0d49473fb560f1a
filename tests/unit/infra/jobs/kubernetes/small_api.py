"""A small API server in memory: jobs can be applied, patched and deleted, and every change is an event of the watch.

It has no controllers: a test says what they would have done.
"""

import copy
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.http import Handler, listening

Object = dict[str, Any]


class SmallApi:
    """Objects by path. `refuse` answers every call of a method (or APPLY) with a status and a message."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[str, Object] = {}
        self.log: list[tuple[str, Object]] = []
        self.calls: list[str] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.before: dict[str, Callable[[], object]] = {}  # by method: what somebody else does just before
        self.keep_deleted = False  # somebody's finalizer
        self.open = True

    def put(self, path: str, found: Object, kind: str = "") -> Object:
        """The object is so now, and who watches hears of it."""
        with self.changed:
            found = copy.deepcopy(found)
            metadata = found["metadata"]
            old = self.objects.get(path)
            metadata["uid"] = old["metadata"]["uid"] if old else f"uid-{len(self.log) + 1}"
            metadata["resourceVersion"] = str(len(self.log) + 1)
            self.objects[path] = found
            self.log.append((path, {"type": kind or ("MODIFIED" if old else "ADDED"), "object": found}))
            self.changed.notify_all()
            return found

    def remove(self, path: str) -> None:
        """The object is gone."""
        with self.changed:
            found = copy.deepcopy(self.objects.pop(path))
            found["metadata"]["resourceVersion"] = str(len(self.log) + 1)
            self.log.append((path, {"type": "DELETED", "object": found}))
            self.changed.notify_all()

    def finish(self, path: str, kind: str, **status: Any) -> None:
        """As the Job controller ends a job: `Complete` or `Failed`."""
        job = copy.deepcopy(self.objects[path])
        reason = status.pop("reason", "")
        job["status"] = {**status, "conditions": [{"type": kind, "status": "True", "reason": reason}]}
        self.put(path, job)


@contextmanager
def serving(api: SmallApi) -> Generator[str]:
    """Serves on a free loopback port: its address."""

    class Serving(Handler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            api.calls.append(f"{'WATCH' if 'watch' in query else self.command} {parts.path}")
            if (meanwhile := api.before.get(self.command)) is not None:
                meanwhile()
            by = "APPLY" if "apply" in self.headers.get("Content-Type", "") else self.command
            if (refused := api.refuse.get(self.command, api.refuse.get(by))) is not None:
                self.answer(refused[0], {"message": refused[1], "reason": "Told"})
            elif "watch" in query:
                self._watch(parts.path, int(query["resourceVersion"]))
            elif self.command == "GET":
                self._get(parts.path)
            elif self.command == "PATCH":
                self._patch(parts.path, body, apply="apply" in self.headers["Content-Type"])
            else:
                self._delete(parts.path, body)

        do_GET = do_PATCH = do_DELETE = _serve

        def _get(self, path: str) -> None:
            if path.rsplit("/", 1)[-1] in ("jobs", "pods", "events"):
                items = [one for at, one in sorted(api.objects.items()) if at.startswith(f"{path}/")]
                self.answer(200, {"metadata": {"resourceVersion": str(len(api.log))}, "items": items})
            elif path in api.objects:
                self.answer(200, api.objects[path])
            else:
                self.answer(404, {"message": f"{path} not found", "reason": "NotFound"})

        def _patch(self, path: str, body: Object, *, apply: bool) -> None:
            old = api.objects.get(path)
            if old is None and not apply:
                self.answer(404, {"message": "not found"})
            elif old is not None and apply and old["spec"]["template"] != body["spec"]["template"]:
                self.answer(422, {"message": "spec.template: field is immutable", "reason": "Invalid"})
            elif old is not None and body["metadata"].get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                self.answer(409, {"message": "the uid is another", "reason": "Conflict"})
            else:
                self.answer(200, api.put(path, _merged(old or {}, body)))

        def _delete(self, path: str, body: Object) -> None:
            old = api.objects.get(path)
            if old is None:
                self.answer(404, {"message": "not found"})
            elif any(old["metadata"][field] != wanted for field, wanted in body["preconditions"].items()):
                self.answer(409, {"message": "the uid is another", "reason": "Conflict"})
            elif api.keep_deleted:
                self.answer(200, api.put(path, _merged(old, {"metadata": {"deletionTimestamp": "now"}})))
            else:
                api.remove(path)
                self.answer(200, {"status": "Success"})

        def _watch(self, path: str, version: int) -> None:
            self.begin_chunks()
            while api.open and "GET" not in api.refuse:
                with api.changed:
                    if len(api.log) == version:
                        api.changed.wait(timeout=0.5)
                    events = api.log[version:]
                if not events:  # as the API server does about every minute
                    mark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}
                    self.chunk(json.dumps(mark).encode() + b"\n")
                for at, event in events:
                    version += 1
                    if at.startswith(f"{path}/"):
                        self.chunk(json.dumps(event).encode() + b"\n")
            self.chunk(b"")

    with listening(Serving) as address:
        try:
            yield address
        finally:
            with api.changed:
                api.open = False
                api.changed.notify_all()


def _merged(old: Object, new: Object) -> Object:
    both = copy.deepcopy(old)
    for key, value in new.items():
        both[key] = _merged(both.get(key) or {}, value) if isinstance(value, dict) else value
    return both
