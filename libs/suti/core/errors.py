"""The two kinds of failure: those that a retry may heal, and those that it cannot.

Every concrete error has a stable `reason` (listed in docs/errors.md) and a message that ends with what to do.
The raiser decides whether a retry helps, so callers only ask for the class.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """How a job tells its launcher what happened (the values of BSD's sysexits.h)."""

    OK = 0
    BAD_DATA = 65  # permanent, this shard alone: do not retry the index
    BAD_CONFIGURATION = 78  # permanent, every shard: fail the whole job
    TRY_AGAIN = 75  # transient: retry within the limit
    TERMINATED = 143  # SIGTERM (preemption, drain): retry at no cost


class SutiError(Exception):
    """Base of every error that Suti raises on purpose."""

    reason: ClassVar[str] = "INTERNAL"
    grpc_code: ClassVar[str] = "INTERNAL"  # a name of grpc.StatusCode
    exit_code: ClassVar[ExitCode] = ExitCode.TRY_AGAIN


class RetryableError(SutiError):
    """The same call may succeed later: a server is down, a lease was lost, a queue is full."""

    reason = "TRY_AGAIN"
    grpc_code = "UNAVAILABLE"
    exit_code = ExitCode.TRY_AGAIN


class PermanentError(SutiError):
    """The same call will fail again: the input or the configuration must change first."""

    reason = "INVALID"
    grpc_code = "INVALID_ARGUMENT"
    exit_code = ExitCode.BAD_DATA


class BadConfiguration(PermanentError):
    """What the operator set cannot work for any input: a missing model, a wrong address, values out of range."""

    reason = "BAD_CONFIGURATION"
    grpc_code = "FAILED_PRECONDITION"
    exit_code = ExitCode.BAD_CONFIGURATION


class InvalidArgument(PermanentError):
    """One argument of a request is outside what is allowed."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class NotFound(PermanentError):
    """A named thing does not exist."""

    reason = "NOT_FOUND"
    grpc_code = "NOT_FOUND"

    def __init__(self, kind: str, name: str, *, remedy: str) -> None:
        super().__init__(f"no {kind} {name!r}: {remedy}")
        self.kind = kind
        self.name = name
