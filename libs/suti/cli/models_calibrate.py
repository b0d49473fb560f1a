"""`suti models calibrate`: the thresholds that belong to a CLIP, from held-out clusters."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suti.cli.answers import answer_console
from suti.cli.connection import DEFAULT_DATA, DataOption
from suti.cli.progress import Report, reported, say
from suti.cli.threads import take_half_the_cores
from suti.core.errors import InvalidArgument, NotFound
from suti.local.folder import DataFolder, models_path

if TYPE_CHECKING:
    from suti.local.held_out import HeldOutClusters

_GOOD_ACCURACY = 0.75


def calibrate(  # noqa: PLR0917 - options, given by name
    model: Annotated[str, typer.Argument(metavar="CLIP", help="A name of `suti models list`, a folder, or a hub's.")],
    crawl: Annotated[str, typer.Option(help="Held-out crawl: a .warc.gz, or an img2dataset folder.")] = "",
    run: Annotated[str, typer.Option(help="Or a run of the data folder: what it grouped, and its gains.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write thresholds.json beside the model.")] = False,
    gain_yield: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="With --run: the share of candidates that min_gain is to keep.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shuffles the pages otherwise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Find the similarity limits that belong to a CLIP, from held-out pages: a crawl that no run is made of.

    Pages as they are, pages shuffled and copies of one picture are compared. Nothing is changed without --write.
    """
    from suti.ml.clip.encoder import load_clip  # noqa: PLC0415 - brings torch
    from suti.ml.clusters.calibrate import calibrate as find_thresholds  # noqa: PLC0415
    from suti.ml.clusters.calibrate import load_thresholds  # noqa: PLC0415
    from suti.ml.clusters.calibrate_sets import measure_held_out  # noqa: PLC0415
    from suti.ml.clusters.selection import mean_pairwise_similarity  # noqa: PLC0415

    if bool(crawl) == bool(run):
        raise InvalidArgument("--crawl", "give one of --crawl and --run: clusters have to come from somewhere")
    folder = _folder(model, data)
    if write and folder is None:
        raise InvalidArgument("--write", f"{model!r} is no folder on this machine: save it in one first")
    take_half_the_cores()
    with reported("loading the CLIP") as report:
        clip = load_clip(str(folder or model))
        with _held_out(crawl, run, data, report) as held_out:
            measured = measure_held_out(held_out.clusters, clip=clip, seed=seed, progress=report)
        gains = held_out.gains if held_out.gains_clip_sha256 == clip.digest else ()
    found = find_thresholds(
        same=measured.same,
        mixed=measured.mixed,
        copied=measured.copied,
        clip_sha256=clip.digest,
        gains=gains,
        gain_yield=gain_yield,
        neighbours=measured.neighbours,
        copies=measured.copies,
    )
    kinds = {"true pages": measured.same, "shuffled": measured.mixed, "copies": measured.copied}
    scores = {name: [mean_pairwise_similarity(rows_KD) or 0.0 for rows_KD in rows] for name, rows in kinds.items()}
    if as_json:
        typer.echo(json.dumps({"thresholds": found.model_dump(), "similarities": scores}))
    else:
        from suti.cli.calibrate_views import distribution_table, thresholds_table  # noqa: PLC0415

        console = answer_console()
        console.print(distribution_table(scores, low=found.similarity_low, high=found.similarity_high))
        console.print()
        console.print(thresholds_table(found, load_thresholds(folder) if folder else None))
    if held_out.gains and not gains:
        say("The run's gains are another CLIP's: min_gain is left alone.")
    if found.low_accuracy < _GOOD_ACCURACY:
        say("This CLIP hardly tells a true page from a shuffled one: give more pages, or use another CLIP.")
    if folder is not None and write:
        say(f"Written to {found.save(folder)}.")
    else:
        say("Nothing was written; --write keeps it beside the model.")


def _folder(model: str, data: Path) -> Path | None:
    """The model's folder; None for a name that a hub resolves (`ViT-B-32/openai`, `hf-hub:owner/name`)."""
    from suti.ml.model_files import ModelMissing, resolve  # noqa: PLC0415 - not needed otherwise

    if (path := Path(model).expanduser()).is_dir():
        return path.absolute()
    try:
        return resolve(
            model, [Path(place) for place in models_path(DataFolder(data.absolute())).split(":")], anywhere=True
        )
    except ModelMissing:
        if model.startswith("hf-hub:") or (model.count("/") == 1 and not path.is_absolute() and model[0] != "."):
            return None
        raise


@contextmanager
def _held_out(crawl: str, run: str, data: Path, report: Report) -> "Generator[HeldOutClusters]":
    from suti.infra.store import Store  # noqa: PLC0415 - not needed otherwise
    from suti.local.held_out import clusters_of_crawl, clusters_of_run  # noqa: PLC0415

    if crawl:
        with clusters_of_crawl(crawl, progress=report) as found:
            yield found
        return
    store = DataFolder(data.absolute())
    if not store.store.is_dir():
        raise NotFound("run", run, remedy=f"{data} is no data folder of `suti up`, name it with --data")
    yield clusters_of_run(Store.open(store.store_url), run)
