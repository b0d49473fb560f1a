"""`make bench`: every claim of speed as a ratio of one run; writes bench.json, exits 1 if one does not hold."""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path

from bench.measure import Ratio

BENCHES = ("startup", "service", "generation", "training", "experts", "filtering", "grouping")


def main() -> int:
    """Run the benches that are asked for, print a line each, and say whether all promises hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benches", nargs="*", default=list(BENCHES), metavar="BENCH", help=", ".join(BENCHES))
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    options = parser.parse_args()
    results = [ratio for name in options.benches for ratio in _run(name)]
    options.out.mkdir(parents=True, exist_ok=True)
    machine = {"cpu_count": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    facts = {"machine": machine, "ratios": [ratio.facts() for ratio in results]}
    (options.out / "bench.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0 if all(ratio.holds for ratio in results) else 1


def _run(name: str) -> list[Ratio]:
    found = importlib.import_module(f"bench.{name}").run()
    for ratio in found:
        print(ratio.line(), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
