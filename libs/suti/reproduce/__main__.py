"""`make reproduce`: the experiments of the paper on the toy world; finished cells are not done again."""

import argparse
from pathlib import Path

from suti.reproduce.work import Work, reproduce_experts


def main() -> None:
    """Run what is asked for until the time is over, then write the results of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["experts"], default="experts", help="which experiment")
    parser.add_argument("--out", type=Path, default=Path("out/reproduce"), help="where finished cells lie")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="where tables and figures go")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="nothing is begun after so long")
    options = parser.parse_args()
    work = Work(out=options.out, results=options.results, processes=options.processes, minutes=options.minutes)
    reproduce_experts(work)


if __name__ == "__main__":
    main()
