"""Runs as tables and trees on a terminal."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.tree import Tree

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.api.types.v1.types_pb2 import Stage
from suti.core import records
from suti.core.records import COUNTED


def exit_code(run: pb.Run) -> int:
    """0 for a run that ended with an apprentice; 3 EMPTY, 4 FAILED, 5 CANCELLED; 0 while it goes on."""
    return {pb.RUN_STATE_EMPTY: 3, pb.RUN_STATE_FAILED: 4, pb.RUN_STATE_CANCELLED: 5}.get(run.state, 0)


def state_name(run: pb.Run) -> str:
    """`running`, `succeeded`, ..."""
    return pb.RunState.Name(run.state).removeprefix("RUN_STATE_").lower()


def stage_name(stage: "Stage.ValueType") -> str:
    """`grouping`, `selection`, ..."""
    return Stage.Name(stage).removeprefix("STAGE_").lower()


def runs_table(runs: Sequence[pb.Run]) -> Table:
    """One run a row."""
    table = Table("run", "state", "created", "by", "crawl", "outcome")
    for run in runs:
        created = run.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        table.add_row(run.run_id, state_name(run), created, run.created_by, run.order.input.url, run.outcome.message)
    return table


def counted(stage: "Stage.ValueType") -> str:
    """What a stage's numbers are numbers of."""
    return COUNTED[records.Stage(stage_name(stage))]


def stages_table(run: pb.Run) -> Table:
    """One stage a row: shards, items, drops by reason, time."""
    table = Table("stage", "counts", "state", "shards", "in", "out", "dropped", "seconds")
    for stage in run.stages:
        state = pb.StageState.Name(stage.state).removeprefix("STAGE_STATE_").lower()
        dead = f" ({stage.shards_dead} dead)" if stage.shards_dead else ""
        shards = f"{stage.shards_committed}/{stage.shards_total or '?'}{dead}"
        drops = ", ".join(f"{reason} {count}" for reason, count in sorted(stage.dropped.items()))
        seconds = f"{stage.elapsed.ToTimedelta().total_seconds():.1f}"
        in_and_out = (str(stage.items_in), str(stage.items_out))
        table.add_row(stage_name(stage.stage), counted(stage.stage), state, shards, *in_and_out, drops, seconds)
    return table


def outcome_rows(run: pb.Run) -> Iterator[tuple[str, str]]:
    """What is known of the run's end, as names and values."""
    yield "run", run.run_id
    yield "state", state_name(run)
    if run.parent_run_id:
        yield "parent", run.parent_run_id
    for name in ("reason", "message", "dataset_digest", "apprentice_sha256"):
        if value := getattr(run.outcome, name):
            yield name, value


def explanation_table(answer: pb.ExplainRunResponse) -> Table:
    """One stage a row: what it waits for."""
    table = Table("stage", "waits for", "why", "queued", "workers")
    for stage in answer.stages:
        reason = pb.WaitReason.Name(stage.waits_for).removeprefix("WAIT_REASON_").lower().replace("_", " ")
        name = stage_name(stage.stage)
        table.add_row(name, reason, stage.message, str(stage.tickets_queued), str(stage.workers))
    return table


def audit_table(answer: pb.AuditRunResponse) -> Table:
    """One stage a row: every item's whereabouts."""
    table = Table("stage", "counts", "in", "out", "dropped", "open", "lost", "doubled")
    for stage in answer.stages:
        drops = ", ".join(f"{reason} {count}" for reason, count in sorted(stage.dropped.items()))
        numbers = (stage.open, stage.lost, stage.doubled)
        in_and_out = (str(stage.items_in), str(stage.items_out))
        table.add_row(stage_name(stage.stage), counted(stage.stage), *in_and_out, drops, *map(str, numbers))
    return table


def plan_table(answer: pb.PlanRunResponse) -> Table:
    """One stage a row: what it would take."""
    table = Table("stage", "items", "shards", "pods", "accelerator h", "core h", "read", "written", "how")
    for stage in answer.stages:
        table.add_row(
            stage_name(stage.stage),
            f"{stage.items_in:,}",
            f"{stage.shards:,}",
            str(stage.pods),
            f"{stage.accelerator_hours:,.2f}",
            f"{stage.core_hours:,.2f}",
            _size(stage.read_bytes),
            _size(stage.written_bytes),
            stage.basis,
        )
    return table


def provenance_tree(answer: pb.GetProvenanceResponse, *, forward: bool) -> Tree:
    """The chains from the thing that was asked about; what was shown before is not opened again."""
    nodes = {node.id: node for node in answer.nodes}
    ways: dict[str, list[str]] = {}
    for edge in answer.edges:
        start, end = (edge.origin_id, edge.result_id) if forward else (edge.result_id, edge.origin_id)
        ways.setdefault(start, []).append(end)
    first = answer.nodes[0]
    tree, shown = Tree(_node_line(first)), {first.id}
    waiting = [(first.id, tree)]
    while waiting:
        name, branch = waiting.pop()
        for other in ways.get(name, []):
            if other not in shown:
                shown.add(other)
                waiting.append((other, branch.add(_node_line(nodes[other]))))
    if answer.truncated:
        tree.add("… cut short: ask within one run")
    return tree


def _node_line(node: pb.ProvenanceNode) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in sorted(node.facts.items()))
    name = node.id.partition(":")[2] or node.id
    return f"[bold]{node.kind}[/bold] {name[:80]}  [dim]{facts}[/dim]"


def _size(size_bytes: int) -> str:
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(max(size_bytes.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{size_bytes / 1024**power:,.1f} {units[power]}"
