"""`suti evaluate`: scores of what a model draws, of toy subjects (`toy`, also without its name) or of one's own."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from typer.core import TyperGroup

from suti.cli.answers import answer_console, give_json
from suti.cli.connection import DEFAULT_DATA, DataOption
from suti.cli.evaluate_compare import compare
from suti.cli.evaluate_dreambench import dreambench
from suti.cli.evaluated_models import load_drawing_model
from suti.cli.generate import SamplerChoice
from suti.cli.progress import reported
from suti.cli.threads import take_half_the_cores
from suti.core.errors import InvalidArgument
from suti.local.folder import packaged_models

if TYPE_CHECKING:
    from typer._click import Context  # typer carries its own click

    from suti.local.evaluation import ToyScores

_TOY = "toy"
_FEW = 200  # pictures, below which an interval is wide


class ToyUnlessNamed(TyperGroup):
    """`suti evaluate MODEL` is `suti evaluate toy MODEL`."""

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """The arguments with the command's name before them, if it is left out."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [_TOY, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(help="Score what a model draws of subjects it never saw.", cls=ToyUnlessNamed)
app.command(name="dreambench")(dreambench)
app.command(name="compare")(compare)


@app.command(name=_TOY)
def evaluate(  # noqa: PLR0917 - options, given by name
    model: Annotated[
        str, typer.Argument(help="A name of `suti models list` or a folder; unset: the promoted apprentice.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Where to write the scores as JSON.")] = None,
    subjects: Annotated[int, typer.Option(min=2, max=10_000, help="Toy subjects that no training ever saw.")] = 34,
    pictures: Annotated[int, typer.Option(min=1, max=16, help="Pictures of each subject.")] = 6,
    demonstrations: Annotated[int, typer.Option(min=1, max=10, help="Pictures that the model sees of each.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other subjects.")] = 0,
    steps: Annotated[int, typer.Option(min=0, max=1000, help="Steps of the sampler; 0: the model's.")] = 0,
    guidance: Annotated[float | None, typer.Option(min=0, max=100, help="Weight of text and subject.")] = None,
    sampler: Annotated[
        SamplerChoice | None, typer.Option(help="How noise becomes a picture; unset: the model's.")
    ] = None,
    clip: Annotated[str, typer.Option(help="The CLIP of CLIP-T and CLIP-I; unset: the toy world's.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON and no table.")] = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Let a model draw toy subjects it never saw, and judge each picture.

    CLIP-T: does it fit its prompt? CLIP-I: does it look like the subject's pictures? Identified: is its nearest
    subject among 16, by exact renders, the true one? As asked: is it nearer to renders in the asked place, style,
    accessory and colour than in any other? Overall: both. Each is a mean with its 95 % interval. Needs no service.
    """
    from suti.local.demo.plan import ToyPlan  # noqa: PLC0415 - not needed otherwise
    from suti.local.evaluation import ToyScores, put_to_the_test  # noqa: PLC0415 - brings torch
    from suti.ml.clip.encoder import load_clip  # noqa: PLC0415
    from suti.stages.generation.order import DrawOrder  # noqa: PLC0415

    began = time.monotonic()
    plan = ToyPlan(subjects=subjects, demonstrations=demonstrations, pictures_each=pictures, seed=seed)
    if out is not None and out.is_dir():
        raise InvalidArgument("--out", f"{out} is a folder: name a file in it")
    take_half_the_cores()
    with reported("loading the model") as report:
        entry, drawing = load_drawing_model(model, data)
        order = DrawOrder(prompt="-", steps=steps, guidance=guidance, sampler=sampler)
        encoder = load_clip(clip or str(packaged_models() / "clip"))
        sampling = order.recipe(entry.sampling)
        verdict = put_to_the_test(
            drawing, plan, sees_subjects=entry.sees_subjects, sampling=sampling, clip=encoder, progress=report
        )
    found = ToyScores(
        model=entry.name,
        kind=entry.kind,
        model_sha256=entry.sha256,
        clip_sha256=encoder.digest,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        subjects=subjects,
        demonstrations=demonstrations if entry.sees_subjects else 0,
        sampling=sampling,
        scores=verdict.scores,
        identified_16way_bounds=verdict.bounds,
        seconds=round(time.monotonic() - began, 2),
    )
    if give_json(found.model_dump_json(indent=1), out=out, alone=as_json):
        return
    console = answer_console()
    console.print(_title(found), soft_wrap=True)
    console.print(_table(found))
    if plan.pictures < _FEW:
        console.print(f"Only {plan.pictures} pictures: the intervals are wide, {_FEW} or more say something.")
    if out is not None:
        console.print(f"Scores: {out.absolute()}", soft_wrap=True)


def _table(found: "ToyScores") -> Table:
    table = Table("", "mean", "95 % interval", "n", box=None, pad_edge=False)
    bounds = found.identified_16way_bounds
    rows = {
        "overall": found.scores.overall,
        "identified among 16": found.scores.identified_16way,
        "  true renders": bounds.ceiling,
        "  somebody else": bounds.floor,
        "as asked": found.scores.follows_prompt,
        "CLIP-T": found.scores.clip_t,
        "CLIP-I": found.scores.clip_i,
    }
    for name, score in rows.items():
        table.add_row(name, f"{score.mean:.3f}", f"{score.low:.3f} to {score.high:.3f}", str(score.n))
    return table


def _title(found: "ToyScores") -> str:
    drawn = f"{found.sampling.sampler}, {found.sampling.steps} steps, guidance {found.sampling.guidance:g}"
    return f"{found.model} ({found.kind}, {found.model_sha256[:12]}), {drawn}"
