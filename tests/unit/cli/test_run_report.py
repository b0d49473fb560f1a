"""`suti run report` in this process: where it reads, what it writes and what it complains of."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from suti.cli.run import app
from suti.cli.stores import access_from
from suti.core.bucket_access import BucketAccess
from suti.core.errors import InvalidArgument, NotFound
from suti.infra.store import Store
from tests.stored_runs import grouped_run


def report(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def run(data: Path) -> str:
    """A run in a data folder that has grouped its crawl."""
    return grouped_run(Store.open(f"file://{data / 'store'}"))


def test_a_page_and_its_facts_are_written_where_they_are_wanted(run: str, data: Path, tmp_path: Path) -> None:
    said = report(run, "--data", str(data), "--out", str(tmp_path / "told" / "here"))

    facts = json.loads((tmp_path / "told" / "here" / "report.json").read_text())
    assert facts["run_id"] == run
    assert facts["stages"]["grouping"]["dropped_by_reason"] == {"DUPLICATE_NEAR": 3}
    assert run in (tmp_path / "told" / "here" / "report.html").read_text()
    assert str(tmp_path / "told" / "here" / "report.html") in said.stdout
    assert "still goes on" in said.stderr


def test_a_store_may_be_named_by_its_address(run: str, data: Path, tmp_path: Path) -> None:
    said = report(run, "--store", f"file://{data / 'store'}", "--out", str(tmp_path / "out"))

    assert said.exit_code == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_a_run_that_is_not_there_is_named(run: str, data: Path) -> None:
    with pytest.raises(NotFound, match="suti run list"):
        report("01ARZ3NDEKTSV4RRFFQ69G5FAV", "--data", str(data))


def test_a_folder_that_is_none_is_named_and_not_made(tmp_path: Path) -> None:
    for option in (["--data", str(tmp_path / "nowhere")], ["--store", f"file://{tmp_path}/nowhere/store"]):
        with pytest.raises(NotFound, match="--store s3://bucket"):
            report("01ARZ3NDEKTSV4RRFFQ69G5FAV", *option)
    assert not (tmp_path / "nowhere").exists()


def test_a_place_that_cannot_be_written_is_named(run: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(InvalidArgument, match="--out"):
        report(run, "--data", str(data), "--out", str(tmp_path / "file"))


def test_a_bucket_is_entered_by_options_and_the_keys_of_the_environment() -> None:
    environment = {"SUTI_STORE_ACCESS_KEY": "who", "SUTI_STORE_SECRET_KEY": "secret"}

    access = access_from(environment, endpoint="http://localhost:9000", region="us-east-1", allow_http=True)

    assert access == BucketAccess("http://localhost:9000", "us-east-1", "who", "secret", allow_http=True)
    assert access_from({}, endpoint="", region="", allow_http=None) == BucketAccess()
