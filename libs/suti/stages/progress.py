"""How a stage says how far it is, and how it is asked to stop."""

from collections.abc import Callable

from suti.core.errors import ExitCode, RetryableError

# Called with (done, total, what is being done); cheap enough to call for every item.
Progress = Callable[[int, int, str], None]

# Answers whether the work should stop at the next good place (SIGTERM, preemption, cancellation).
Stopping = Callable[[], bool]


def silent(_done: int, _total: int, _note: str) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """Nobody asks this work to stop."""
    return False


class Preempted(RetryableError):
    """The work was asked to stop in the middle; what is finished is kept and it goes on from there."""

    reason = "PREEMPTED"
    exit_code = ExitCode.TERMINATED

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was asked to stop: it goes on from what is finished when it is started again")
