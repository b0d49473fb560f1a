import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suti.core.errors import InvalidArgument
from suti.local.folder import packaged_models
from suti.ml.evaluation.protocols import UnknownProtocol
from suti.ml.model_files import folder_digest
from suti.stages.evaluation.plan import EvaluationChanged
from suti.stages.evaluation.subjects import ClassUnknown, SubjectsMissing
from tests.unit.cli.conftest import Call

SMALL = ("--dino", "dino", "--clip", "clip", "--protocol", "toy", "--only", "0,22", "--samples", "2", "--steps", "2")


def _photo(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((48, 40))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(("candle", "vase")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(3):
            _photo(10 * number + index).save(tmp_path / "photos" / name / f"{index:02d}.jpg")
    return tmp_path / "photos"


def test_a_model_draws_every_prompt_of_every_subject_and_its_totals_are_written(
    evaluate: Call, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    told = evaluate("dreambench", "warmstart", "--subjects", str(photos), "--out", str(out), *SMALL)

    assert told.exit_code == 0
    assert "warmstart: 2 subjects, 8 drawings" in told.stdout
    assert "protocol: toy;references=all" in told.stdout
    with Image.open(out / "drawings" / "vase" / "22" / "1.png") as drawn:
        assert drawn.size == (32, 32)
    totals = json.loads((out / "totals.json").read_text())
    by_name = {(one["system"], one["metric"], one["condition"]): one for one in totals}
    dino = by_name["warmstart", "dino", "all"]
    assert (dino["n"], dino["missing"], dino["subjects"]) == (8, 0, 2)
    assert dino["model_sha256"] == folder_digest(packaged_models() / "warmstart")
    plan = json.loads((out / "evaluation.json").read_text())
    assert plan["subjects"]["vase"]["shown"] == ["00.jpg", "01.jpg", "02.jpg"]

    again = evaluate(
        "dreambench", "--drawings", str(out / "drawings"), "--system", "folder", "--subjects", str(photos),
        "--out", str(tmp_path / "again"), *SMALL[:-2],
    )  # fmt: skip
    compared = evaluate("compare", str(out), str(tmp_path / "again"), "--json")

    assert again.exit_code == 0
    (same,) = [row for row in json.loads(compared.stdout) if (row["metric"], row["condition"]) == ("detail", "all")]
    assert (same["one"], same["other"], same["n"], same["mean"]) == ("warmstart", "folder", 8, 0)
    with pytest.raises(EvaluationChanged, match="another"):
        evaluate("dreambench", "base", "--subjects", str(photos), "--out", str(out), *SMALL)


def test_what_is_asked_wrongly_is_told_before_anything_is_drawn(evaluate: Call, photos: Path, tmp_path: Path) -> None:
    given = ("--subjects", str(photos), "--out", str(tmp_path / "out"), "--drawings", str(tmp_path))

    for arguments, error in {
        ("--only", "0,x"): InvalidArgument,
        ("--only", "25"): InvalidArgument,
        ("--class", "vase"): InvalidArgument,
        ("--judge", "http://127.0.0.1:1/v1"): InvalidArgument,
        ("--protocol", "mine"): UnknownProtocol,
    }.items():
        with pytest.raises(error):
            evaluate("dreambench", *given, "--dino", "dino", "--clip", "clip", *arguments)
    (photos / "heirloom").mkdir()
    with pytest.raises(ClassUnknown, match="heirloom=toy"):
        evaluate("dreambench", *given, "--dino", "dino", "--clip", "clip")
    with pytest.raises(SubjectsMissing):
        evaluate("dreambench", "--subjects", str(photos / "vase"), *given[2:], "--dino", "dino", "--clip", "clip")


def test_two_evaluations_without_a_common_protocol_are_not_compared(evaluate: Call, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="name the --out"):
        evaluate("compare", str(tmp_path), str(tmp_path))


def test_a_horse_is_asked_for_as_what_lives_if_one_says_so_and_its_drawings_are_named(
    evaluate: Call, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = ("--drawings", str(tmp_path), "--subjects", str(photos), "--out", str(out), *SMALL[:-2])

    told = evaluate("dreambench", *given, "--class", "vase=horse", "--live", "horse")

    subjects = json.loads((out / "evaluation.json").read_text())["subjects"]
    assert (subjects["vase"]["kind"], subjects["candle"]["kind"]) == ("live", "object")
    assert "0 of 0 subjects, few" in told.stdout
    with pytest.raises(InvalidArgument, match="another name"):
        evaluate("dreambench", *given, "--system", "real", "--out", str(tmp_path / "real"))
