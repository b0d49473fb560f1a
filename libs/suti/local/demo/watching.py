"""A run followed to its end, with a bar for each stage."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from suti.api.pipeline.v1.pipeline_pb2 import Run, RunState, StageProgress, StageState, WaitReason
from suti.api.types.v1.types_pb2 import Stage
from suti.client import Suti
from suti.core.errors import PermanentError
from suti.core.records import COUNTED
from suti.core.records import Stage as StageName


class RunDidNotSucceed(PermanentError):
    """A demo's run ended without an apprentice."""

    reason = "RUN_DID_NOT_SUCCEED"


def follow(client: Suti, run_id: str, bars: Progress, *, on_stage: Callable[[str], None] = lambda stage: None) -> Run:
    """Show the run until it has ended, and return it. `on_stage` is told once when a stage begins.

    Raises:
        RunDidNotSucceed: it is EMPTY, FAILED or CANCELLED, or waits for a decision about dead letters; its stage and
            counts are in the message.
        RemoteError: the pipeline service cannot be reached.
    """
    tasks: dict[int, TaskID] = {}
    begun: set[str] = set()
    told: dict[str, str] = {}
    run = Run()
    for answer in client.watch_run(run_id):
        run = answer.run
        for stage in run.stages:
            name = stage_name(stage)
            if stage.stage not in tasks:
                tasks[stage.stage] = bars.add_task(name, total=1.0, said="")
            bars.update(tasks[stage.stage], completed=_done(stage), said=_said(stage))
            if not bars.console.is_terminal:  # bars would be seen in the end alone
                _tell(bars.console, name, stage, told)
            if stage.state in {StageState.STAGE_STATE_RUNNING, StageState.STAGE_STATE_DONE} and name not in begun:
                begun.add(name)
                on_stage(name)
        if any(stage.shards_dead for stage in run.stages) and not run.HasField("outcome"):
            _refuse_to_wait(client, run_id)
    if run.state != RunState.RUN_STATE_SUCCEEDED:
        ended = RunState.Name(run.state).removeprefix("RUN_STATE_")
        where = f" in {Stage.Name(run.outcome.stage).removeprefix('STAGE_').lower()}" if run.outcome.stage else ""
        raise RunDidNotSucceed(f"run {run_id} ended {ended}{where}: {run.outcome.reason}: {run.outcome.message}")
    return run


def _tell(console: Console, name: str, stage: StageProgress, told: dict[str, str]) -> None:
    """A line when a stage begins, at each quarter of it, and when it is done."""
    quarter = int(_done(stage) * 4) * 25
    words = f"{name}: {quarter} %" if stage.items_in or quarter else ""
    if words and told.get(name) != words:
        told[name] = words
        console.print(f"{words}, {_said(stage)}" if stage.items_in else words, soft_wrap=True)


def _refuse_to_wait(client: Suti, run_id: str) -> None:
    """A run whose dead letters want somebody's decision would wait for ever: in a demo there is nobody."""
    answer = client.explain_run(run_id)
    for stage in answer.stages:
        if stage.waits_for == WaitReason.WAIT_REASON_DEAD_LETTERS:
            raise RunDidNotSucceed(f"run {run_id} waits: {stage.message}")


def stage_bars(console: Console) -> Progress:
    """Bars as `follow` wants them."""
    return Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(32),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        console=console,
    )


def stage_name(stage: StageProgress) -> str:
    """`experts`, as in keys and reports."""
    return Stage.Name(stage.stage).removeprefix("STAGE_").lower()


def _done(stage: StageProgress) -> float:
    if stage.state in {StageState.STAGE_STATE_DONE, StageState.STAGE_STATE_INHERITED}:
        return 1.0
    if not stage.shards_total:
        return 0.0
    return min(1.0, (stage.shards_committed + stage.shards_dead) / stage.shards_total + stage.fraction_open)


def _said(stage: StageProgress) -> str:
    if not stage.items_in:
        return ""
    dropped = sum(stage.dropped.values())
    if stage_name(stage) == "apprentice":
        return f"{stage.items_in} examples" + (", a model" if stage.items_out else "")
    counted = COUNTED[StageName(stage_name(stage))]
    return f"{stage.items_in} {counted} in, {stage.items_out} out" + (f", {dropped} dropped" if dropped else "")
