"""How much is to be done, and where."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where, with how many processes, and for how long."""

    out: Path
    results: Path
    processes: int
    minutes: float
