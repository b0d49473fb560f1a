"""`suti run`: runs from start to end."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from suti.api.pipeline.v1 import pipeline_pb2 as pb
from suti.cli import run_views
from suti.cli.answers import JsonOption, answer_console, print_json
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption, connect
from suti.cli.run_report import report
from suti.cli.run_watch import watch_to_the_end
from suti.client.inputs import PresetName, run_order
from suti.client.requests.pipeline import ProvenanceStart
from suti.core.errors import InvalidArgument

app = typer.Typer(
    no_args_is_help=True, help="Turn a crawl into an apprentice: start, watch, explain, audit and report runs."
)
console = answer_console()

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `suti run list` shows it.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change one field of the preset, e.g. experts.steps=200; may be repeated. `suti run fields` lists them.",
    ),
]


class Preset(StrEnum):
    """Recipes to start from: the paper's, or small ones for the toy models."""

    paper = "paper"
    toy = "toy"


PresetOption = Annotated[
    Preset, typer.Option(help="Recipes to start from: the paper's, or small ones for the toy models.")
]


class CrawlFormat(StrEnum):
    """How a crawl is stored."""

    warc = "warc"
    img2dataset = "img2dataset"


FormatOption = Annotated[
    CrawlFormat | None, typer.Option("--format", help="How the crawl is stored; unset: as its name tells.")
]


class Thing(StrEnum):
    """What provenance may be asked of."""

    picture = "picture"
    checkpoint = "checkpoint"
    candidate = "candidate"
    cluster = "cluster"
    url = "url"


_START: dict[Thing, ProvenanceStart] = {
    Thing.picture: "provenance_id",
    Thing.checkpoint: "checkpoint_id",
    Thing.candidate: "candidate_id",
    Thing.cluster: "cluster_id",
    Thing.url: "source_url",
}


def order(
    crawl: str,
    *,
    crawl_format: CrawlFormat | None,
    preset: Preset,
    seed: int,
    base: str,
    clip: str,
    warmstart: str,
    changes: list[str] | None,
) -> pb.RunOrder:
    """The order of the command's options; a local crawl as a whole path."""
    place = crawl if "://" in crawl else str(Path(crawl).expanduser().resolve())
    name: PresetName = preset.value
    return run_order(
        place,
        crawl_format=crawl_format.value if crawl_format else "",
        preset=name,
        seed=seed,
        base=base,
        clip=clip,
        warmstart=warmstart,
        changes=parse_changes(changes or []),
    )


def parse_changes(settings: list[str]) -> dict[str, object]:
    """`experts.steps=200` and the like as nested fields; values are JSON, or else text. Raises InvalidArgument."""
    changes: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        *path, last = name.split(".")
        if not equals or not path or not all((*path, last)):
            raise InvalidArgument("--set", f"{setting!r} is no change: write it as experts.steps=200")
        try:
            value: object = json.loads(text)
        except ValueError:
            value = text
        place = changes
        for step in path:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                raise InvalidArgument("--set", f"{setting!r} goes into {step!r}, which another --set made a value")
            place = inner
        place[last] = value
    return changes


@app.command()
def start(
    *,
    crawl: Annotated[str, typer.Option(help="WARC file, img2dataset folder, or s3:// URL that the services can read.")],
    crawl_format: FormatOption = None,
    preset: Annotated[
        Preset, typer.Option(help="Recipes to start from: the paper's, or small ones for the toy models.")
    ] = Preset.toy,
    seed: Annotated[int, typer.Option(min=0, help="All randomness of the run comes from it.")] = 0,
    base: Annotated[str, typer.Option(help="Base model; unset: the preset's.")] = "",
    clip: Annotated[str, typer.Option(help="CLIP; unset: the preset's.")] = "",
    warmstart: Annotated[str, typer.Option(help="Where the apprentice starts from; unset: the preset's.")] = "",
    change: Set = None,
    watch: Annotated[bool, typer.Option(help="Stay and watch until the end.")] = False,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Start a run and print its id."""
    wanted = order(
        crawl,
        crawl_format=crawl_format,
        preset=preset,
        seed=seed,
        base=base,
        clip=clip,
        warmstart=warmstart,
        changes=change,
    )
    with connect(server, data) as suti:
        run = suti.create_run(wanted)
        typer.echo(run.run_id)
        if watch:
            raise typer.Exit(run_views.exit_code(watch_to_the_end(suti, run.run_id, console)))


@app.command()
def fields(
    preset: PresetOption = Preset.toy,
    only: Annotated[str, typer.Argument(metavar="[SECTION]", help="Of one section, such as experts.")] = "",
) -> None:
    """List what --set may change, with the preset's values."""
    from suti.stages.recipe_fields import recipe_fields  # noqa: PLC0415 - brings pydantic models of all stages

    table = Table("field", "value", "what it is", box=None)
    for field in recipe_fields(preset.value):
        if field.name.startswith(only):
            table.add_row(field.name, field.value, field.description)
    console.print(table)


@app.command("list")
def list_runs(as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """List all runs, newest first."""
    with connect(server, data) as suti:
        runs = list(suti.list_runs())
    if as_json:
        print_json(runs)
    elif runs:
        console.print(run_views.runs_table(runs))
    else:
        console.print("No runs yet: `suti run start --crawl FILE` starts one.")


@app.command()
def watch(run: RunId, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Watch a run until it ends. Leaving (Ctrl-C) does not stop it."""
    with connect(server, data) as suti:
        raise typer.Exit(run_views.exit_code(watch_to_the_end(suti, run, console)))


@app.command()
def why(run: RunId, as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Say what each stage waits for."""
    with connect(server, data) as suti:
        answer = suti.explain_run(run)
    if as_json:
        print_json(answer)
        return
    console.print(answer.headline, style="bold")
    console.print(run_views.explanation_table(answer))


@app.command()
def cancel(
    run: RunId,
    reason: Annotated[str, typer.Option(help="For the record.")] = "",
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Ask a run to stop. What is committed stays."""
    with connect(server, data) as suti:
        typer.echo(run_views.state_name(suti.cancel_run(run, reason=reason)))


@app.command()
def audit(run: RunId, as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Count every item of a run: each must be in the next stage or dropped for a reason, exactly once."""
    with connect(server, data) as suti:
        answer = suti.audit_run(run)
    if as_json:
        print_json(answer)
        raise typer.Exit(0 if answer.sound else 1)
    console.print(run_views.audit_table(answer))
    open_text = "everything is accounted for" if answer.complete else "nothing is lost so far; the run is still at work"
    console.print(f"sound: {open_text}" if answer.sound else "NOT SOUND: items are lost or doubled", style="bold")
    raise typer.Exit(0 if answer.sound else 1)


@app.command()
def plan(
    *,
    crawl: Annotated[str, typer.Option(help="WARC file, img2dataset folder, or s3:// URL that the services can read.")],
    crawl_format: FormatOption = None,
    preset: Annotated[
        Preset, typer.Option(help="Recipes to start from: the paper's, or small ones for the toy models.")
    ] = Preset.toy,
    base: Annotated[str, typer.Option(help="Base model; unset: the preset's.")] = "",
    clip: Annotated[str, typer.Option(help="CLIP; unset: the preset's.")] = "",
    change: Set = None,
    as_json: JsonOption = False,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Say what a run would take, before anything starts."""
    wanted = order(
        crawl, crawl_format=crawl_format, preset=preset, seed=0, base=base, clip=clip, warmstart="", changes=change
    )
    with connect(server, data) as suti:
        answer = suti.plan_run(wanted)
    if as_json:
        print_json(answer)
        return
    console.print(run_views.plan_table(answer))
    for warning in answer.warnings:
        console.print(f"! {warning}", style="yellow")


@app.command()
def provenance(
    *,
    thing: Annotated[Thing, typer.Argument(help="What is asked about.")],
    name: Annotated[str, typer.Argument(help="Its id, or a URL.")],
    forward: Annotated[bool, typer.Option(help="What became of it, not where it came from.")] = False,
    run: Annotated[str, typer.Option(help="Only within this run.")] = "",
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Follow a thing back to its sources, or a source forward to all it touched."""
    with connect(server, data) as suti:
        answer = suti.get_provenance(_START[thing], name, forward=forward, run_id=run)
    console.print(run_views.provenance_tree(answer, forward=forward))


@app.command()
def replay(
    *,
    run: RunId,
    min_gain: Annotated[float | None, typer.Option(help="Keep a candidate if its gain is above this.")] = None,
    max_copy_similarity: Annotated[float | None, typer.Option(help="Above this: a copy of a demonstration.")] = None,
    min_copy_difference: Annotated[float | None, typer.Option(help="Nearer in pixels than this: a copy.")] = None,
    min_subject_similarity: Annotated[
        float | None, typer.Option(help="Further than this from every demonstration: not the subject; -1: off.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Of the apprentice, e.g. steps=2000.")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Stay and watch until the end.")] = False,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Judge a run's candidates anew and train an apprentice on the outcome, as a child run. Nothing is drawn again."""
    changes = parse_changes([f"apprentice.{setting}" for setting in change or []]).get("apprentice")
    with connect(server, data) as suti:
        child = suti.replay_filter(
            run,
            min_gain=min_gain,
            max_copy_similarity=max_copy_similarity,
            min_copy_difference=min_copy_difference,
            min_subject_similarity=min_subject_similarity,
            apprentice=changes if isinstance(changes, dict) else None,
        )
        typer.echo(child.run_id)
        if watch:
            raise typer.Exit(run_views.exit_code(watch_to_the_end(suti, child.run_id, console)))


@app.command()
def show(run: RunId, as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Show a run's stages, counts and outcome, and everything it was frozen with."""
    with connect(server, data) as suti:
        found = suti.get_run(run)
    if as_json:
        print_json(found)
        return
    console.print(run_views.stages_table(found))
    table = Table.grid(padding=(0, 2))
    for name, value in run_views.outcome_rows(found):
        table.add_row(name, value)
    console.print(table)
    console.print_json(found.spec_json)


app.command()(report)
