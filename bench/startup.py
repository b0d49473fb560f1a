"""How long a person waits for the command and for a running machine, and what memory the demo takes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from bench.measure import Ratio, of_ratios, seconds

_SUTI = str(Path(sys.executable).with_name("suti"))
_REPEATS = 5
_READY_S, _HELP_S, _MEMORY_GIB = 30.0, 0.5, 8.0
_GIVE_UP_S = 300.0


def run() -> list[Ratio]:
    """`suti --help`, `suti up` and the demo's memory; failures only at twice the figure."""
    return [
        of_ratios("suti --help, seconds", _help(), at_most=_HELP_S, fails_above=2 * _HELP_S),
        of_ratios(
            "suti up, seconds until all services take calls",
            [_up() for _ in range(_REPEATS)],
            at_most=_READY_S,
            fails_above=2 * _READY_S,
        ),
        of_ratios(
            "all processes of the demo together, GiB", [_memory()], at_most=_MEMORY_GIB, fails_above=2 * _MEMORY_GIB
        ),
    ]


def _help() -> list[float]:
    def once() -> None:
        subprocess.run([_SUTI, "--help"], check=True, capture_output=True)  # noqa: S603 - our own command

    once()
    return [seconds(once) for _ in range(2 * _REPEATS)]


def _up() -> float:
    """One start in a new data folder; the addresses are written when everything serves."""
    with tempfile.TemporaryDirectory(prefix="suti-bench-") as folder:
        ready, began = Path(folder) / "endpoints.json", time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [_SUTI, "up", "--data", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not ready.exists() or not ready.stat().st_size:
                if process.poll() is not None or time.perf_counter() - began > _GIVE_UP_S:
                    raise RuntimeError("suti up did not start: run it by hand to see why")
                time.sleep(0.02)
            return time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _memory() -> float:
    """Peak memory as the last `make demo` reported it; without one, of a quick demo that is run now."""
    report = Path(os.environ.get("OUT", "out")) / "demo" / "report.json"
    if report.exists():
        return _peak_gib(report)
    with tempfile.TemporaryDirectory(prefix="suti-bench-") as folder:
        command = [_SUTI, "demo", "--quick", "--out", folder]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command
        return _peak_gib(Path(folder) / "report.json")


def _peak_gib(report: Path) -> float:
    facts = cast("dict[str, Any]", json.loads(report.read_text(encoding="utf-8")))
    return int(facts["peak_rss_bytes"]) / 2**30
