"""What somebody who looks on sees of a measured run: how long answers take, and how many do not come."""

import statistics
import threading
import time
from pathlib import Path

from suti.client.blocking import Suti
from suti.client.endpoints import Endpoints
from suti.core.errors import SutiError

_ASK_S = 5.0  # between two questions for the run's status


class Questions:
    """Asks the pipeline for the run's status, and why, again and again, and notes how long each answer took.

    A question that fails is counted, its error printed, and the next is asked all the same.
    """

    def __init__(self, port_file: Path, run_id: str, *, every_s: float = _ASK_S) -> None:
        self.failed = 0
        self._port_file = port_file
        self._run_id = run_id
        self._every_s = every_s
        self._stop = threading.Event()
        self._took: dict[str, list[float]] = {"status": [], "why": []}
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def took(self, what: str) -> tuple[float, float] | None:
        """Median and most, in seconds; None if not one answer came."""
        return (statistics.median(self._took[what]), max(self._took[what])) if self._took[what] else None

    def stop(self) -> None:
        """No more questions."""
        self._stop.set()
        self._thread.join(10)

    def _ask(self) -> None:
        while not self._port_file.exists():
            if self._stop.wait(0.1):
                return
        self._stop.wait(self._every_s)
        with Suti(Endpoints(pipeline=self._port_file.read_text())) as suti:
            while not self._stop.wait(self._every_s):
                for what, ask in (("status", suti.get_run), ("why", suti.explain_run)):
                    asked_at = time.monotonic()
                    try:
                        ask(self._run_id)
                    except SutiError as error:
                        self.failed += 1
                        print(f"  no answer to {what!r}: {error}", flush=True)
                    else:
                        self._took[what].append(time.monotonic() - asked_at)


def told(took: tuple[float, float] | None) -> str:
    """For people."""
    return f"{took[0]:.2f} s (at most {took[1]:.2f})" if took else "never answered"
