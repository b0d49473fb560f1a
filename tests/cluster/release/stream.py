"""Somebody who asks for pictures without a pause, from a pod beside the release."""

import json
import textwrap
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.cluster.release.installed import CLIENT, Release, within

# Asks for one picture after the other until it is told to stop, and keeps count in a file.
_PROGRAM = textwrap.dedent("""
    import json, os, sys, time
    from pathlib import Path
    from suti.cli.connection import options_from
    from suti.client import Suti
    from suti.client.requests.generation import generate_request

    subject, model = sys.argv[1:]
    counts, stop = Path("/tmp/stream.json"), Path("/tmp/stop")
    told = {"asked": 0, "drawn": 0, "failed": []}
    with Suti("suti-generation:50051", options=options_from(os.environ)) as suti:
        while not stop.exists():
            told["asked"] += 1
            try:
                answer = suti.generate(generate_request("a red disc", subject_id=subject, model=model, steps=2))
                told["drawn"] += len(answer.pictures) == 1
            except Exception as error:
                told["failed"].append(f"{type(error).__name__}: {error}"[:500])
            counts.with_suffix(".new").write_text(json.dumps(told))
            counts.with_suffix(".new").replace(counts)
            time.sleep(0.2)
    stop.unlink()
""")
_SHELL = ("exec", CLIENT, "--", "/bin/sh", "-c")


class Stream:
    """Requests that go on."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def counts(self) -> dict[str, Any]:
        """How many were asked, drawn, and the errors of those that failed."""
        return json.loads(self._release.read_in_client("/tmp/stream.json"))  # noqa: S108 - the pod's own


@contextmanager
def asking_for_pictures(release: Release, *, subject: str, model: str) -> Generator[Stream]:
    """The stream, once it is given pictures, until the end."""
    release.write_in_client("/tmp/stream.py", _PROGRAM.encode())  # noqa: S108
    release.kube.kubectl(*_SHELL, f"cd /tmp; nohup python stream.py {subject} {model} > stream.log 2>&1 &")
    going = Stream(release)
    within(120, "pictures are drawn", lambda: going.counts()["drawn"] >= 3)
    try:
        yield going
    finally:
        release.kube.kubectl(*_SHELL, "touch /tmp/stop")
