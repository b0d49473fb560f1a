"""`make reproduce`: the experiments of the paper on the toy world; finished cells are not done again."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from suti.reproduce.all_experiments import EXPERIMENTS, OF_ANY_APPRENTICE
from suti.reproduce.estimate import as_plan, estimate, measure_rates
from suti.reproduce.quick import quick_check
from suti.reproduce.running import reproduce
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Given, results_folder
from suti.reproduce.superres import EXPERIMENT as SUPERRES
from suti.reproduce.superres import left_of_superres, reproduce_superres, verdict
from suti.reproduce.work import Work


def main() -> None:
    """Run what is asked for until the time is over, then write the results of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [SUPERRES, *EXPERIMENTS]
    parser.add_argument("--only", nargs="+", choices=names, help="which experiments; default: all")
    parser.add_argument("--plan", action="store_true", help="say how long they would take here, and do nothing")
    parser.add_argument("--quick", action="store_true", help="a few minutes that check the machinery")
    parser.add_argument("--out", type=Path, default=Path("out/reproduce"), help="where finished cells lie")
    parser.add_argument(
        "--results", type=Path, help="where tables and figures go; docs/results, or beside a given apprentice's cells"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="nothing is begun after so long")
    parser.add_argument("--apprentice", type=Path, help="a model folder to measure in place of those taught here")
    options = parser.parse_args()
    if options.quick:
        sys.stdout.write(f"{quick_check(options.out, processes=options.processes)}\n")
        return
    given = None if options.apprentice is None else Given.take(options.apprentice, options.out)
    known = names if given is None else [name for name in names if name in OF_ANY_APPRENTICE]
    if unfit := set(options.only or ()) - set(known):
        parser.error(f"{', '.join(sorted(unfit))}: teach their own apprentices, leave out these or --apprentice")
    only = options.only or known
    scale = replace(Scale(), given=given)
    experiments = [EXPERIMENTS[name](scale) for name in only if name in EXPERIMENTS]
    if options.plan:
        torch.set_num_threads(1)
        found = estimate(experiments, measure_rates(scale, options.out), options.out)
        untimed = {SUPERRES: left_of_superres(options.out)} if SUPERRES in only else {}
        sys.stdout.write(as_plan(found, options.processes, untimed))
        return
    results = options.results or results_folder(given, options.out)
    deadline = time.monotonic() + options.minutes * 60
    work = Work(out=options.out, results=results, processes=options.processes, deadline=deadline)
    enlarged = reproduce_superres(work) if SUPERRES in only else []
    reproduce(experiments, work)
    if failed := verdict(enlarged):
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
