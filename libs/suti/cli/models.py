"""`suti models`: what can be drawn with, and bringing more of it home."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from suti.api.types.v1.types_pb2 import Model, ModelKind
from suti.cli.answers import JsonOption, answer_console
from suti.cli.connection import DEFAULT_DATA, ENDPOINTS_FILE, DataOption, ServerOption, connect
from suti.cli.models_calibrate import calibrate
from suti.cli.progress import reported
from suti.core.errors import InvalidArgument, NotFound
from suti.local.folder import DataFolder, models_path
from suti.ml.model_files import ModelMissing

app = typer.Typer(no_args_is_help=True, help="List, import, promote and calibrate models.")
console = answer_console()


@app.callback()
def _models() -> None:
    """List, import, promote and calibrate models."""


@app.command("list")
def list_models(as_json: JsonOption = False, server: ServerOption = "", data: DataOption = DEFAULT_DATA) -> None:
    """Show the models that requests may name: the running service's, or else those that lie on this machine."""
    asked = bool(server) or (data / ENDPOINTS_FILE).exists()
    rows = list(_running(server, data) if asked else _lying_here(data))
    if as_json:
        names = ("name", "kind", "size_px", "factor", "sha256", "description")
        typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
        return
    table = Table("model", "kind", "pictures", "sha256", "about", box=None)
    for name, kind, size_px, factor, sha256, about in rows:
        table.add_row(name, kind, _size(size_px, factor), sha256[:12], about)
    console.print(table)
    if not asked:
        console.print("No service is running: apprentices of runs are not among these.", style="dim")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A diffusers folder, or a hub's name such as owner/model.")],
    name: Annotated[str, typer.Option(help="What to call it; unset: the source's own last name.")] = "",
    revision: Annotated[str, typer.Option(help="The hub's branch, tag or commit.")] = "",
    licence: Annotated[str, typer.Option(help="Where the model itself states none.")] = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Copy what is needed of a base or a super-resolution model, try it, and keep it in the data folder."""
    if source.startswith((".", "/", "~")) and not Path(source).expanduser().is_dir():  # no hub's name, so ask none
        raise ModelMissing(f"no model folder {source!r}: correct the path")
    from suti.ml.diffusion.imports import import_model  # noqa: PLC0415 - brings torch

    called = name or Path(source.rstrip("/")).name.lower()
    if called.startswith(".") or "/" in called:
        raise InvalidArgument("--name", f"{called!r} is no plain name: use letters, digits, dots and dashes")
    with reported(f"importing {source}"):
        imported = import_model(source, DataFolder(data).models / called, revision=revision, licence=licence)
    card = imported.card
    console.print(
        f"{called}  {card.kind}, {_size(card.size_px, card.factor)}, {card.prediction}, sha256 "
        f"{imported.digest[:12]}, "
        f"licence: {card.licence or 'not stated'}",
        soft_wrap=True,
    )


@app.command()
def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that ended with an apprentice.")],
    server: ServerOption = "",
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Make a run's apprentice the one that draws when no model is named."""
    with connect(server, data) as suti:
        found = next(iter(suti.list_checkpoints(run_id=run.removeprefix("runs/"))), None)
        if found is None:
            raise NotFound("apprentice of run", run, remedy="`suti run list` shows which runs succeeded")
        promoted = suti.promote_checkpoint(found.checkpoint_id)
    console.print(f"runs/{promoted.run_id} draws from now on", soft_wrap=True)


app.command()(calibrate)

type _Row = tuple[str, str, int, int, str, str]


def _size(size_px: int, factor: int) -> str:
    if factor:
        return f"{size_px // factor} to {size_px} px"
    return f"{size_px} px" if size_px else ""


def _running(server: str, data: Path) -> list[_Row]:
    with connect(server, data) as suti:
        return [_row(model) for model in suti.list_models()]


def _row(model: Model) -> _Row:
    kind = ModelKind.Name(model.kind).removeprefix("MODEL_KIND_").lower().replace("_", "-")
    about = f"{'promoted; ' if model.promoted else ''}{model.description}"
    return model.name, kind, model.width_px, model.factor, model.sha256, about


def _lying_here(data: Path) -> list[_Row]:
    from suti.stages.generation.entries import entries_below  # noqa: PLC0415 - not needed otherwise
    from suti.stages.model_catalogue import ModelCatalogue  # noqa: PLC0415

    found = entries_below(ModelCatalogue.from_path(models_path(DataFolder(data))))
    return [
        (entry.name, entry.kind.value, entry.size_px, entry.factor, entry.sha256, entry.description) for entry in found
    ]
