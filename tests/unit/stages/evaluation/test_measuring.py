from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from suti.ml.evaluation.protocols import DREAMBENCH, MASKED, UNSEEN_REFERENCES, Protocol
from suti.stages.evaluation.measuring import MeasuringModels, Missing, SubjectRuler
from suti.stages.evaluation.subjects import Picture, open_picture
from tests.unit.stages.evaluation.conftest import picture


def _ruler(
    pictures: list[Picture],
    models: MeasuringModels,
    *,
    protocol: Protocol = DREAMBENCH,
    shown: tuple[int, ...] = (0, 1),
) -> SubjectRuler:
    return SubjectRuler(pictures, unopened=0, shown=shown, class_word="candle", protocol=protocol, models=models)


def _opened(folder: Path) -> list[Picture]:
    return [open_picture(path) for path in sorted(folder.glob("??.png"))]


def test_a_drawing_that_is_a_demonstration_is_found_out_as_its_copy(photos: Path, models: MeasuringModels) -> None:
    real = _opened(photos / "candle")

    copied, new = _ruler(real, models).measure([real[1], Picture(None, picture(9), "")], text="a candle")

    assert copied["copy"].score == pytest.approx(1.0)
    assert isinstance(new["copy"].score, float)
    assert new["copy"].score < 0.999
    assert copied["detail"].score != new["detail"].score


def test_references_are_all_real_pictures_or_those_that_the_system_never_saw(
    photos: Path, models: MeasuringModels
) -> None:
    real, drawn = _opened(photos / "candle"), [Picture(None, picture(9), "")]
    recipe = DREAMBENCH.picture
    rows = models.dino.look([one.image for one in (*real, *drawn)], recipe).class_ND.numpy()
    cosines = rows[:3] @ rows[3]

    (everything,) = _ruler(real, models).measure(drawn, text="a candle")
    (unseen,) = _ruler(real, models, protocol=UNSEEN_REFERENCES).measure(drawn, text="a candle")
    (seen,) = _ruler(real, models, protocol=Protocol(name="own", references="demonstrations")).measure(drawn, text="x")

    assert (everything["dino"].score, everything["dino"].references) == (
        pytest.approx(float(np.mean(cosines)), abs=1e-5),
        3,
    )
    assert (unseen["dino"].score, unseen["dino"].references) == (pytest.approx(float(cosines[2]), abs=1e-5), 1)
    assert (seen["dino"].score, seen["dino"].references) == (pytest.approx(float(np.mean(cosines[:2])), abs=1e-5), 2)


def test_where_no_reference_is_left_there_is_a_reason_and_no_number(photos: Path, models: MeasuringModels) -> None:
    ruler = _ruler(_opened(photos / "candle"), models, protocol=UNSEEN_REFERENCES, shown=(0, 1, 2))

    (row,) = ruler.measure([Picture(None, picture(9), "")], text="a candle")

    assert {name: one.score.reason for name, one in row.items() if isinstance(one.score, Missing)} == {
        "dino": "NO_REFERENCES",
        "clip_i": "NO_REFERENCES",
        "detail": "NO_REFERENCES",
        "diversity": "TOO_FEW_DRAWINGS",
    }
    assert isinstance(row["clip_t"].score, float)


def test_a_subject_with_one_picture_is_scored_but_not_against_itself(photos: Path, models: MeasuringModels) -> None:
    ruler = _ruler(_opened(photos / "candle")[:1], models, shown=(0,))

    (drawn,) = ruler.measure([Picture(None, picture(9), "")], text="a candle")
    (real,) = ruler.measure_real()

    assert isinstance(drawn["dino"].score, float)
    assert isinstance(real["dino"].score, Missing)
    assert real["dino"].score.reason == "NO_REFERENCES"
    assert isinstance(real["copy"].score, Missing)


def test_without_backgrounds_only_the_subject_counts(photos: Path, models: MeasuringModels) -> None:
    """The same square before two backgrounds is the same drawing, and before none has no score."""
    mask = Image.new("L", (40, 36), 0)
    mask.paste(255, (8, 6, 32, 30))
    for path in (photos / "candle").glob("*.png"):
        mask.save(path.with_name(f"{path.stem}.mask.png"))
    real = [open_picture(path) for path in sorted((photos / "candle").glob("??.png"))]
    drawn: list[Picture] = []
    for number, background in enumerate([(250, 0, 0), (0, 90, 10)]):
        scene = Image.new("RGB", (40, 36), background)
        scene.paste(picture(9), mask=mask)
        scene.putalpha(mask)
        path = photos / f"drawn{number}.png"
        scene.save(path)
        drawn.append(Picture(path, scene, ""))
    bare = Picture(None, picture(9), "")

    one, other, none = _ruler(real, models, protocol=MASKED).measure([*drawn, bare], text="a candle")

    assert one["dino"].score == pytest.approx(other["dino"].score)
    assert one["clip_i"].score == pytest.approx(other["clip_i"].score)
    assert one["diversity"].score == pytest.approx(0, abs=1e-5)
    assert isinstance(none["dino"].score, Missing)
    assert none["dino"].score.reason == "MASK_MISSING"
    assert isinstance(none["clip_t"].score, float)  # the text is about the whole picture
