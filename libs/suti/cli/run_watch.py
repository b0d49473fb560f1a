"""A run followed to its end: bars on a terminal, a line for each thing that happened elsewhere; both on stderr."""

import sys
import time
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.cli.progress import LINE_EVERY_S, say
from suti.cli.run_views import counted, outcome_rows, stage_name, stages_table
from suti.client.blocking import Suti

_INTERVAL_S = 0.5
_IDLE = (pb.STAGE_STATE_WAITING, pb.STAGE_STATE_UNSPECIFIED)
_OVER = (pb.STAGE_STATE_DONE, pb.STAGE_STATE_INHERITED, pb.STAGE_STATE_SKIPPED)


def watch_to_the_end(suti: Suti, run_id: str, console: Console) -> pb.Run:
    """Shows each stage's progress, then prints what the run came to; returns the run as it ended."""
    follow = _in_bars if sys.stderr.isatty() else in_lines
    run = follow(answer.run for answer in suti.watch_run(run_id, interval_s=_INTERVAL_S))
    console.print(stages_table(run))
    for name, value in outcome_rows(run):
        console.print(f"{name:<18} {value}")
    return run


def in_lines(runs: Iterable[pb.Run], tell: Callable[[str], None] = say) -> pb.Run:
    """A line when a stage begins and ends, and every few seconds while it is at work; returns the last of the runs."""
    run, states, told_at = pb.Run(), dict[int, int](), dict[int, float]()
    for run in runs:
        for stage in run.stages:
            now, before = time.monotonic(), states.get(stage.stage, pb.STAGE_STATE_WAITING)
            states[stage.stage] = stage.state
            late = stage.state == pb.STAGE_STATE_RUNNING and now - told_at.get(stage.stage, now) >= LINE_EVERY_S
            if stage.state not in _IDLE and (stage.state != before or late):
                tell(_line(stage))
                told_at[stage.stage] = now
    return run


def _line(stage: pb.StageProgress) -> str:
    state = pb.StageState.Name(stage.state).removeprefix("STAGE_STATE_").lower()
    share = "" if stage.state in _OVER else f" {_share(stage):.0%}"
    return ", ".join(part for part in (f"{stage_name(stage.stage)}: {state}{share}", _told(stage)) if part)


def _in_bars(runs: Iterable[pb.Run]) -> pb.Run:
    run = pb.Run()
    bars: dict[int, TaskID] = {}
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for run in runs:
            for stage in run.stages:
                if stage.stage not in bars:
                    bars[stage.stage] = progress.add_task(stage_name(stage.stage), total=1.0, told="", start=False)
                _show(progress, bars[stage.stage], stage)
    return run


def _show(progress: Progress, bar: TaskID, stage: pb.StageProgress) -> None:
    if stage.state not in _IDLE:
        progress.start_task(bar)
    progress.update(bar, completed=_share(stage), told=_told(stage))
    if stage.state in _OVER:
        progress.stop_task(bar)


def _share(stage: pb.StageProgress) -> float:
    if stage.state in _OVER:
        return 1.0
    done = stage.shards_committed + stage.shards_dead
    share = done / stage.shards_total if stage.shards_total else 0.0
    return min(1.0, share + stage.fraction_open)


def _told(stage: pb.StageProgress) -> str:
    counts = f"{stage.items_in} {counted(stage.stage)} in, {stage.items_out} out" if stage.items_in else ""
    dead = f"{stage.shards_dead} shards given up" if stage.shards_dead else ""
    if dead and stage.state not in _OVER:
        dead += " (`suti run why` says whether it waits for you)"
    return ", ".join(part for part in (counts, dead) if part)
