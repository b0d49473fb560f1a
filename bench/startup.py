"""How long a person waits for the command itself."""

import subprocess
import sys
from pathlib import Path

from bench.measure import Ratio, of_ratios, seconds

_LIMIT_S = 0.5


def run() -> list[Ratio]:
    """`suti --help` in half a second; a failure only at twice the figure."""
    command = [str(Path(sys.executable).with_name("suti")), "--help"]

    def help_once() -> None:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command

    help_once()
    return [of_ratios("suti --help, seconds / 0.5", [seconds(help_once) / _LIMIT_S for _ in range(5)], at_most=2.0)]
