"""What a ticket has been through, and whether it gets another try: carried in its message, decided by a pure function.

The server counts deliveries and nothing else. How often a worker told of a failure, since when, and who refused,
travels in a header of the message that is put back.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, cast

from suti.core.errors import BadConfiguration, ExitCode, PermanentError, RetryableError, SutiError
from suti.core.fields import known_fields

HEADER = "Suti-Failures"


class WorkCrashed(RetryableError):
    """The work died without a word of what was wrong. Such tries are counted: the shard itself may be deadly."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How much a ticket may go through before it is given up."""

    crashes: int = 5  # deaths of its worker, errors nobody foresaw, crashed jobs
    retry_for_s: float = 6 * 3600.0  # of failures that pass by themselves, from the first on
    refusals: int = 3  # different workers that find their configuration wrong
    refused_for_s: float = 1800.0  # the same where there are not so many workers, from the first failure on
    backoff_s: tuple[float, ...] = (1.0, 5.0, 20.0, 60.0)  # before each retry; the last one again and again


@dataclass(frozen=True, slots=True)
class Failures:
    """What became of a ticket's tries so far."""

    tries: int = 0
    crashes: int = 0
    since_s: float = 0.0  # Unix time of the first failure; 0 while there was none
    refused_by: tuple[str, ...] = ()
    wait_s: float = 0.0  # the message's first delivery is put off by so long

    @classmethod
    def read(cls, headers: Mapping[str, str] | None) -> Self:
        """What a message says; nothing if it says nothing readable."""
        try:
            stored = cast("dict[str, Any]", json.loads((headers or {})[HEADER]))
            known = known_fields(cls, stored)
            known["refused_by"] = tuple(stored["refused_by"])
            return cls(**known)
        except (KeyError, ValueError, TypeError, AttributeError):
            return cls()

    def header(self) -> dict[str, str]:
        """The header that says it."""
        return {HEADER: json.dumps(asdict(self))}


DEFAULT_PATIENCE = Patience()


def without(headers: Mapping[str, str] | None) -> dict[str, str]:
    """A message's other headers: with them alone it has all its tries before it."""
    return {name: value for name, value in (headers or {}).items() if name != HEADER}


def is_free(error: Exception) -> bool:
    """Whether a try that ended so does not count: the work was asked to stop."""
    return isinstance(error, SutiError) and error.exit_code == ExitCode.TERMINATED


def is_bad_data(error: Exception) -> bool:
    """Whether the shard's own data is at fault, so that no other worker and no later time would help."""
    return isinstance(error, PermanentError) and not isinstance(error, BadConfiguration)


def after(
    error: Exception, before: Failures, *, worker: str, began_s: float, now_s: float, patience: Patience
) -> Failures | None:
    """What the ticket takes to its next try, None if it is given up.

    RetryableError: again until `retry_for_s` are over. BadConfiguration: again until several different workers found
    the same, for one of them may be set up wrongly. Any other PermanentError: given up at once. A crash, or an error
    that nobody foresaw: again until there were `crashes` of them.

    The try lasted from `began_s` to `now_s` (Unix time): what takes hours has a second try after its first failure.
    """
    crashed = isinstance(error, WorkCrashed) or not isinstance(error, SutiError)
    refused = isinstance(error, BadConfiguration)
    tries = before.tries + 1
    told = Failures(
        tries=tries,
        crashes=before.crashes + crashed,
        since_s=before.since_s or now_s,
        refused_by=tuple(sorted({*before.refused_by, worker})) if refused else before.refused_by,
        wait_s=patience.backoff_s[min(tries, len(patience.backoff_s)) - 1] if patience.backoff_s else 0.0,
    )
    failing_s = began_s - told.since_s
    if crashed:
        over = told.crashes >= patience.crashes
    elif refused:
        over = len(told.refused_by) >= patience.refusals or failing_s >= patience.refused_for_s
    else:
        over = isinstance(error, PermanentError) or failing_s >= patience.retry_for_s
    return None if over else told
