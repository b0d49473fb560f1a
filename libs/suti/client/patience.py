"""How long to wait before the next try, and when to give up."""

import random

from suti.client.options import Options


class Patience:
    """Counts failures in a row. A success renews it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._failures = 0

    def renew(self) -> None:
        """Something came through."""
        self._failures = 0

    def delay_s(self) -> float | None:
        """Seconds to wait before the next try, or None if it is time to give up."""
        self._failures += 1
        if self._failures >= self._options.attempts:
            return None
        longest = min(self._options.longest_delay_s, self._options.first_delay_s * 2 ** (self._failures - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def poll_delay_s(polls: int) -> float:
    """Seconds between two looks at an operation: quick at first, two seconds in the end."""
    return min(2.0, 0.05 * 1.5**polls)
