"""What a doctor says."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARN = "warn"  # something optional is missing, or it will be slow
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""
