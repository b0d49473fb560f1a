"""How far something is: a bar on a terminal, a plain line now and then elsewhere; on stderr, so that stdout is answers.

Nothing is shown of what is done before anybody could have read it.
"""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

type Report = Callable[[int, int, str], None]  # done, total (0: nobody knows), what is being done; from one thread

LINE_EVERY_S = 5.0


@contextmanager
def reported(what: str) -> Generator[Report]:
    """A bar that is gone at the end, or lines; starts with `what`, and each new `what` that is reported is one more."""
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            yield _on_bar(bars, bars.add_task(what, total=None, told=""))
    else:
        say(what)
        yield _in_lines(what)


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _on_bar(bars: Progress, bar: TaskID) -> Report:
    def report(done: int, total: int, what: str) -> None:
        told = f"{done}/{total}" if total else ""
        bars.update(bar, description=what, completed=done, total=total or None, told=told)

    return report


def _in_lines(first: str) -> Report:
    last, said_at = first, time.monotonic()

    def report(done: int, total: int, what: str) -> None:
        nonlocal last, said_at
        now = time.monotonic()
        if what != last or now - said_at >= LINE_EVERY_S:
            say(f"{what} {done}/{total}" if total else what)
            last, said_at = what, now

    return report
