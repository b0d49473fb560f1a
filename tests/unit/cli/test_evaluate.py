import json
from pathlib import Path

import pytest

from suti.core.errors import InvalidArgument
from suti.local.folder import packaged_models
from suti.ml.model_files import ModelMissing, folder_digest
from suti.stages.model_catalogue import UnknownModel
from tests.unit.cli.conftest import Call

QUICK = ("--subjects", "2", "--pictures", "1", "--steps", "2", "--demonstrations", "1")


def test_scores_of_a_base_are_written_as_json_with_their_intervals(evaluate: Call, tmp_path: Path) -> None:
    path = tmp_path / "out" / "toy-scores.json"

    told = evaluate("base", *QUICK, "--out", str(path))

    assert told.exit_code == 0
    assert "identified among 16" in told.stdout
    assert "intervals are wide" in told.stdout
    found = json.loads(path.read_text())
    assert found["kind"] == "base"
    assert found["demonstrations"] == 0  # a base sees none
    assert found["model_sha256"] == folder_digest(packaged_models() / "base")
    for name in ("overall", "identified_16way", "follows_prompt", "clip_t", "clip_i"):
        assert set(found["scores"][name]) == {"mean", "low", "high", "n"}
        assert found["scores"][name]["n"] == 2
    assert not (tmp_path / "data").exists()  # nothing was asked of it


def test_a_folder_is_scored_and_json_stands_alone_on_stdout(evaluate: Call) -> None:
    told = evaluate(str(packaged_models() / "warmstart"), *QUICK, "--json")

    found = json.loads(told.stdout)
    assert (found["model"], found["kind"], found["demonstrations"]) == ("warmstart", "warmstart", 1)
    assert "pictures drawn and judged" in told.stderr


def test_what_cannot_draw_or_is_not_there_is_told_from_one_another(evaluate: Call, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="of kind clip: name one that draws"):
        evaluate("clip", *QUICK)
    with pytest.raises(ModelMissing, match="nowhere"):
        evaluate("nowhere", *QUICK)
    with pytest.raises(UnknownModel, match="is no model's folder"):
        evaluate(str(tmp_path), *QUICK)
    with pytest.raises(UnknownModel, match="name one with --data"):
        evaluate(*QUICK)  # no name, and no data folder that could have a promoted apprentice


def test_scores_are_not_lost_at_the_end_for_want_of_a_file_name(evaluate: Call, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="is a folder"):
        evaluate("base", *QUICK, "--out", str(tmp_path))
