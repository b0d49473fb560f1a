"""The command in this process, and small crawls for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from suti.cli.evaluate import app as evaluate_app
from suti.cli.models import app as models_app
from suti.toyworld.crawls import draw_crawl

Call = Callable[..., Result]


@pytest.fixture(scope="session")
def held_out_crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("held-out")
    draw_crawl(folder / "crawl.warc.gz", truth_path=folder / "truth.json", pages=24, seed=77, size_px=32)
    return folder / "crawl.warc.gz"


@pytest.fixture
def models(tmp_path: Path) -> Call:
    """`suti models ARGS...` with a data folder of the test's own; errors of ours are raised."""

    def call(*arguments: str) -> Result:
        given = [*arguments, "--data", str(tmp_path / "data")]
        return CliRunner().invoke(models_app, given, catch_exceptions=False)

    return call


@pytest.fixture
def evaluate(tmp_path: Path) -> Call:
    """`suti evaluate ARGS...`, likewise."""

    def call(*arguments: str) -> Result:
        torch.set_num_threads(1)
        data = [] if arguments[:1] == ("compare",) else ["--data", str(tmp_path / "data")]  # files are enough for it
        given = [*arguments, *data]
        return CliRunner().invoke(evaluate_app, given, catch_exceptions=False)

    return call
