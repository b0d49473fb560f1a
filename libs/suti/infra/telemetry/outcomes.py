"""How tickets and attempts end, as metrics say it: the values of the label `suti.outcome`, which alerts ask for."""

from enum import StrEnum


class TicketOutcome(StrEnum):
    """What became of one delivery of a ticket."""

    DONE = "done"
    RETRIED = "retried"
    REFUSED = "refused"  # for the host's configuration
    PUT_BACK = "put back"  # the worker was asked to stop; costs nothing
    PUT_OFF = "put off"  # too early yet; not measured
    DEAD_LETTER = "dead letter"


class AttemptOutcome(StrEnum):
    """How one attempt of a job's index ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # and with it the index, for good
    RETRIED = "retried"
    PREEMPTED = "preempted"  # stopped from outside; costs nothing
