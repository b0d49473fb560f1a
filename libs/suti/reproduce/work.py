"""How much is to be done, and where."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Work:
    """Where, with how many processes, and until when."""

    out: Path
    results: Path
    processes: int
    deadline: float  # by time.monotonic: nothing is begun after it

    @property
    def ahead(self) -> int:
        """Tasks that are handed in at a time: all processes are busy, and one task waits."""
        return self.processes + 1
