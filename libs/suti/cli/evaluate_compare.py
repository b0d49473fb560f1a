"""`suti evaluate compare`: two systems' rows side by side, pair by pair."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from suti.cli.answers import answer_console, give_json
from suti.cli.evaluate_words import told_subjects
from suti.core.errors import InvalidArgument

if TYPE_CHECKING:
    from suti.stages.evaluation.rows import EvaluationRow
    from suti.stages.evaluation.totals import Difference


def compare(
    one: Annotated[Path, typer.Argument(help="The folder of an evaluation, or its rows.parquet.")],
    other: Annotated[Path, typer.Argument(help="Another system's, of the same subjects and prompts.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the differences as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON and no table.")] = False,
) -> None:
    """Say how much the first system lies above the second, and how probable that order is for other subjects.

    Only drawings of the same subject, prompt and sample are compared, and only scores of one protocol that were
    measured against the same pictures.
    """
    from suti.stages.evaluation.totals import differences  # noqa: PLC0415 - brings pyarrow

    found = differences(_rows(one), _rows(other))
    if not found:
        raise InvalidArgument("OTHER", "the two have no pair of scores under one protocol: evaluate both with the same")
    if give_json(json.dumps([row.model_dump() for row in found], indent=1), out=out, alone=as_json):
        return
    console = answer_console()
    console.print(f"{found[0].one} minus {found[0].other}")
    console.print(_table(found))


def _rows(place: Path) -> "list[EvaluationRow]":
    from suti.infra.tables import from_parquet  # noqa: PLC0415
    from suti.stages.evaluation.places import ROWS  # noqa: PLC0415
    from suti.stages.evaluation.rows import EvaluationRow  # noqa: PLC0415

    path = place / ROWS if place.is_dir() else place
    if not path.is_file():
        raise InvalidArgument(str(place), f"there is no {path}: name the --out of `suti evaluate dreambench`")
    return from_parquet(path.read_bytes(), EvaluationRow)


def _table(found: "list[Difference]") -> Table:
    table = Table(
        "metric", "", "mean", "95 % interval", "P(first above)", "pairs", "left out", box=None, pad_edge=False
    )
    for row in found:
        interval = "-" if row.low is None or row.high is None else f"{row.low:+.3f} to {row.high:+.3f}"
        other_basis = f" ({row.mismatched} measured against other pictures or texts)" if row.mismatched else ""
        table.add_row(
            row.metric,
            row.condition,
            "-" if row.mean is None else f"{row.mean:+.3f}",
            interval,
            "-" if row.probability is None else f"{row.probability:.3f}",
            f"{row.n} of {told_subjects(row.subjects)}",
            f"{row.unpaired + row.mismatched}{other_basis}",
        )
    return table
