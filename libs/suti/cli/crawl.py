"""`suti crawl draw`: crawls of the toy world."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from suti.cli.answers import answer_console
from suti.cli.progress import reported

app = typer.Typer(no_args_is_help=True, help="Draw small crawls with made-up subjects, to try things with.")


@app.callback()
def _crawl() -> None:
    """Draw small crawls with made-up subjects, to try things with."""


@app.command()
def draw(  # noqa: PLR0917 - options, given by name
    path: Annotated[Path, typer.Argument(help="A .warc.gz, or a folder for --format img2dataset.")],
    pages: Annotated[int, typer.Option(min=1, max=1_000_000, help="Pages; seven in ten are good.")] = 80,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other subjects.")] = 0,
    size_px: Annotated[int, typer.Option(min=16, max=2048, help="Side of the smallest pictures.")] = 64,
    layout: Annotated[Literal["warc", "img2dataset"], typer.Option("--format", help="How it is stored.")] = "warc",
    truth: Annotated[
        Path | None, typer.Option(help="Where to write what was drawn; for evaluation alone. Unset: beside PATH.")
    ] = None,
) -> None:
    """Draw a crawl of made-up subjects with the noise of the web; equal arguments give equal bytes."""
    from suti.toyworld.crawls import draw_crawl, draw_img2dataset  # noqa: PLC0415 - brings torch

    truth_path = truth or path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.warc')}.truth.json")
    with reported(f"drawing {pages} pages"):
        drawing = draw_crawl if layout == "warc" else draw_img2dataset
        facts = drawing(path, truth_path=truth_path, pages=pages, seed=seed, size_px=size_px)
    answer_console().print(
        f"{path}: {facts.pages} pages ({facts.good_pages} good), {facts.pictures} pictures "
        f"({facts.faulty_pictures} faulty)\nWhat is true of it: {truth_path}"
    )
