"""`suti evaluate dreambench`: subjects of one's own, DreamBench's prompts, every score a row."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from suti.cli.answers import answer_console
from suti.cli.connection import DEFAULT_DATA, DataOption, ServerOption
from suti.cli.evaluate_words import told_subjects
from suti.cli.generate import SamplerChoice
from suti.cli.progress import reported
from suti.cli.threads import take_half_the_cores
from suti.core.errors import InvalidArgument

if TYPE_CHECKING:
    from suti.cli.evaluate_systems import Tested
    from suti.local.evaluation_plan import Wish
    from suti.ml.evaluation.judging import Judge
    from suti.stages.evaluation.plan import EvaluationPlan
    from suti.stages.evaluation.totals import Total

_JUDGE_KEY = "SUTI_JUDGE_KEY"
_DINO, _CLIP = "vit_small_patch16_224.dino", "ViT-B-32/openai"  # the paper's


def dreambench(  # noqa: PLR0917 - options, given by name
    model: Annotated[
        str, typer.Argument(help="A name of `suti models list` or a folder; unset: the promoted apprentice.")
    ] = "",
    subjects: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="A folder with a folder of pictures for each subject.")
    ] = Path("subjects"),
    out: Annotated[Path, typer.Option(help="A folder for rows, totals and drawings; the same goes on.")] = Path(
        "out/evaluation"
    ),
    drawings: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Score pictures drawn by anybody: SUBJECT/PROMPT NUMBER/SAMPLE.png."
        ),
    ] = None,
    system: Annotated[str, typer.Option(help="What to call who drew; unset: the model's name.")] = "",
    prompts: Annotated[
        str, typer.Option(help="dreambench (25 + 25), skills (the four skills), or a file.")
    ] = "dreambench",
    only: Annotated[str, typer.Option(help="Numbers of prompts, such as 0,5,20; unset: all.")] = "",
    samples: Annotated[int, typer.Option(min=1, max=64, help="Drawings of each prompt.")] = 4,
    demonstrations: Annotated[int, typer.Option(min=1, max=10, help="Pictures that the system sees of each.")] = 4,
    protocol: Annotated[
        str, typer.Option(help="dreambench, masked, squashed, unseen-references or toy; see docs/evaluation.md.")
    ] = "dreambench",
    dino: Annotated[str, typer.Option(help="The DINO: a folder, or a name of timm or of a hub.")] = _DINO,
    clip: Annotated[str, typer.Option(help="The CLIP: a folder, or a name of open_clip.")] = _CLIP,
    segmenter: Annotated[str, typer.Option(help="A CLIPSeg that makes masks where none are given.")] = "",
    class_of: Annotated[list[str] | None, typer.Option("--class", help="FOLDER=WORD; may be repeated.")] = None,
    live: Annotated[
        list[str] | None,
        typer.Option(help="A class that is alive, beside cat and dog: prompts for it. May be repeated."),
    ] = None,
    token: Annotated[str, typer.Option(help="Stands before the class word in prompts: DreamBooth's rare token.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other drawings.")] = 0,
    steps: Annotated[int, typer.Option(min=0, max=1000, help="Steps of the sampler; 0: the model's.")] = 0,
    guidance: Annotated[float | None, typer.Option(min=0, max=100, help="Weight of text and subject.")] = None,
    sampler: Annotated[
        SamplerChoice | None, typer.Option(help="How noise becomes a picture; unset: the model's.")
    ] = None,
    judge: Annotated[
        str, typer.Option(help=f"URL of an OpenAI-style endpoint that judges; its key in {_JUDGE_KEY}.")
    ] = "",
    judge_model: Annotated[str, typer.Option(help="The vision model behind it.")] = "",
    judge_timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds that it may take for an answer.")] = 60.0,
    real: Annotated[bool, typer.Option(help="Measure real pictures against one another, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON and no table.")] = False,
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Draw every prompt of every subject, several samples each, and score them: DINO, CLIP-I, CLIP-T, and more.

    The system is a model (drawn with in this process), a server (--server), or a folder of drawings (--drawings).
    What is interrupted goes on with the same call. Scores without a value are counted beside every mean.
    """
    from suti.cli.evaluate_systems import Tested  # noqa: PLC0415 - brings torch
    from suti.local.evaluation_plan import Wish, classes_from, numbers_from  # noqa: PLC0415
    from suti.ml.chat_endpoint import Endpoint  # noqa: PLC0415
    from suti.ml.evaluation.judging import EndpointJudge  # noqa: PLC0415

    wish = Wish(
        subjects=subjects,
        prompts=prompts,
        numbers=numbers_from(only),
        samples=samples,
        demonstrations=demonstrations,
        protocol=protocol,
        dino=dino,
        clip=clip,
        segmenter=segmenter,
        classes=classes_from(class_of or []),
        live=frozenset(live or []),
        token=token,
        seed=seed,
        real=real,
    )
    if drawings is not None and (model or server):
        raise InvalidArgument("--drawings", "somebody drew already: leave model and --server out")
    if judge and not judge_model:
        raise InvalidArgument("--judge-model", "name the vision model that answers at --judge")
    tested = Tested(
        model=model,
        name=system,
        drawings=drawings,
        server=server,
        data=data,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
    )
    asked = Endpoint(judge, judge_model, key=os.environ.get(_JUDGE_KEY, ""), timeout_s=judge_timeout_s)
    take_half_the_cores()
    plan, found = _evaluate(wish, tested, out, judge=EndpointJudge(asked) if judge else None)
    if as_json:
        typer.echo((out / "totals.json").read_text(encoding="utf-8"), nl=False)
        return
    console = answer_console()
    console.print(f"{plan.system.name}: {len(plan.subjects)} subjects, {plan.drawings} drawings", soft_wrap=True)
    console.print(f"protocol: {plan.protocol_id}", soft_wrap=True)
    console.print(_table(found))
    console.print(f"Rows: {(out / 'rows.parquet').absolute()}", soft_wrap=True)


def _evaluate(
    wish: "Wish", tested: "Tested", out: Path, *, judge: "Judge | None"
) -> "tuple[EvaluationPlan, list[Total]]":
    from suti.cli.evaluate_systems import ready  # noqa: PLC0415
    from suti.infra.store import Store  # noqa: PLC0415
    from suti.local.evaluation_plan import plan_of  # noqa: PLC0415
    from suti.stages.evaluation.drawers import demonstrations_of  # noqa: PLC0415
    from suti.stages.evaluation.judged import judge_all  # noqa: PLC0415
    from suti.stages.evaluation.plan import freeze  # noqa: PLC0415
    from suti.stages.evaluation.summing import sum_up  # noqa: PLC0415
    from suti.stages.evaluation.work import EvaluationFolder, measure_all  # noqa: PLC0415

    store = Store.open(f"file://{out.absolute()}")
    folder = EvaluationFolder(store)
    with reported("loading models") as report, ready(tested) as found:
        plan, subjects, models = plan_of(wish, found.system)
        freeze(plan, store)
        source = found.source(store, plan.seed, lambda subject: demonstrations_of(subject, plan.subjects[subject.name]))
        try:
            measure_all(plan, subjects, source, models, folder, progress=report)
            if judge is not None:
                judge_all(plan, subjects, source, judge, folder, progress=report)
        finally:  # what there is so far, also of an evaluation that was stopped
            totals = sum_up(folder)
    return plan, totals


def _table(found: "list[Total]") -> Table:
    table = Table("", "metric", "of", "mean", "95 % interval", "pictures", "missing", box=None, pad_edge=False)
    for row in found:
        mean = "-" if row.mean is None else f"{row.mean:.3f}"
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        why = ", ".join(f"{count} {reason}" for reason, count in row.reasons.items())
        short = f"; {row.short_of_references} measured against fewer" if row.short_of_references else ""
        told = f"{row.missing} ({why})" if row.missing else "0"
        judge = row.protocol_id.split(";")[1] if row.protocol_id.startswith("judge;") else ""
        rests_on = f"{row.n} of {told_subjects(row.subjects)}"
        table.add_row(
            row.system, f"{row.metric} {judge}".strip(), row.condition, mean, interval, rests_on, told + short
        )
    return table
