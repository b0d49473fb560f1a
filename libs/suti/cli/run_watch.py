"""A run as progress bars, until it ends."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.cli.run_views import outcome_rows, stage_name, stages_table
from suti.client.blocking import Suti

_INTERVAL_S = 0.5


def watch_to_the_end(suti: Suti, run_id: str, console: Console) -> pb.Run:
    """One bar for each stage; returns the run as it ended. On anything but a terminal only the end is printed."""
    run = pb.Run()
    bars: dict[int, TaskID] = {}
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for answer in suti.watch_run(run_id, interval_s=_INTERVAL_S):
            run = answer.run
            for stage in run.stages:
                if stage.stage not in bars:
                    bars[stage.stage] = progress.add_task(stage_name(stage.stage), total=1.0, told="", start=False)
                _show(progress, bars[stage.stage], stage)
    console.print(stages_table(run))
    for name, value in outcome_rows(run):
        console.print(f"{name:<18} {value}")
    return run


def _show(progress: Progress, bar: TaskID, stage: pb.StageProgress) -> None:
    done = stage.shards_committed + stage.shards_dead
    share = done / stage.shards_total if stage.shards_total else 0.0
    told = f"{stage.items_in} in, {stage.items_out} out" if stage.items_in else ""
    if stage.shards_dead:
        told += f", {stage.shards_dead} shards dead"
    if stage.state not in (pb.STAGE_STATE_WAITING, pb.STAGE_STATE_UNSPECIFIED):
        progress.start_task(bar)
    progress.update(bar, completed=min(1.0, share + stage.fraction_open), told=told)
    if stage.state in (pb.STAGE_STATE_DONE, pb.STAGE_STATE_INHERITED, pb.STAGE_STATE_SKIPPED):
        progress.stop_task(bar)
