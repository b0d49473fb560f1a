"""`make reproduce`: the experiments of the paper on the toy world; finished cells are not done again."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from suti.reproduce.all_experiments import EXPERIMENTS
from suti.reproduce.estimate import as_plan, estimate, measure_rates
from suti.reproduce.quick import quick_check
from suti.reproduce.running import reproduce
from suti.reproduce.scale import Scale
from suti.reproduce.sources import Given
from suti.reproduce.superres import EXPERIMENT as SUPERRES
from suti.reproduce.superres import reproduce_superres, verdict
from suti.reproduce.work import Work, reproduce_experts

_EXPERTS = "experts"  # experiment 1


def main() -> None:
    """Run what is asked for until the time is over, then write the results of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [_EXPERTS, SUPERRES, *EXPERIMENTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="which experiments; default: all")
    parser.add_argument("--plan", action="store_true", help="say how long they would take here, and do nothing")
    parser.add_argument("--quick", action="store_true", help="a few minutes that check the machinery")
    parser.add_argument("--out", type=Path, default=Path("out/reproduce"), help="where finished cells lie")
    parser.add_argument("--results", type=Path, default=Path("docs/results"), help="where tables and figures go")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="nothing is begun after so long")
    parser.add_argument("--apprentice", type=Path, help="a model folder to measure in place of those taught here")
    options = parser.parse_args()
    if options.quick:
        sys.stdout.write(f"{quick_check(options.out, processes=options.processes)}\n")
        return
    scale = Scale()
    if options.apprentice is not None:
        scale = replace(scale, given=Given.take(options.apprentice, options.out))
    experiments = [EXPERIMENTS[name](scale) for name in options.only if name in EXPERIMENTS]
    if options.plan:
        torch.set_num_threads(1)
        found = estimate(experiments, measure_rates(scale, options.out), options.out)
        sys.stdout.write(as_plan(found, options.processes))
        return
    work = Work(out=options.out, results=options.results, processes=options.processes, minutes=options.minutes)
    if _EXPERTS in options.only:
        reproduce_experts(work)
    enlarged = reproduce_superres(work) if SUPERRES in options.only else []
    reproduce(experiments, work)
    if failed := verdict(enlarged):
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
