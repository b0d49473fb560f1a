from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from suti.local.folder import packaged_models
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

    assert (everything["dino"].score, everything["dino"].references) == (
        pytest.approx(float(np.mean(cosines)), abs=1e-5),
        3,
    )
    assert (unseen["dino"].score, unseen["dino"].references) == (pytest.approx(float(cosines[2]), abs=1e-5), 1)


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


def test_clip_scores_are_what_open_clip_itself_says(photos: Path, models: MeasuringModels) -> None:
    real, drawn = _opened(photos / "candle"), [picture(9), picture(10)]
    place = f"local-dir:{packaged_models() / 'clip'}"
    clip, prepare = cast(Any, open_clip).create_model_from_pretrained(place)
    clip.eval()

    def unit(rows: torch.Tensor) -> torch.Tensor:
        return rows / rows.norm(dim=-1, keepdim=True)

    with torch.no_grad():
        seen, references = (
            unit(clip.encode_image(torch.stack([prepare(one) for one in ones])))
            for ones in (drawn, [one.image for one in real])
        )
        words = unit(clip.encode_text(open_clip.get_tokenizer(place)(["a red candle"])))[0]

    rows = _ruler(real, models).measure([Picture(None, one, "") for one in drawn], text="a red candle")

    likeness = [float(np.mean([one @ other for other in references])) for one in seen]
    assert [row["clip_i"].score for row in rows] == pytest.approx(likeness, abs=1e-5)
    assert [row["clip_t"].score for row in rows] == pytest.approx([float(one @ words) for one in seen], abs=1e-5)
    assert likeness[0] != pytest.approx(likeness[1], abs=1e-4)


def test_every_score_says_how_many_pictures_it_rests_on_and_how_many_it_lacks(
    photos: Path, models: MeasuringModels
) -> None:
    real = _opened(photos / "candle")
    for one in real:
        assert one.path is not None
        Image.new("L", (40, 36), 255).save(one.path.with_name(f"{one.path.stem}.mask.png"))
    assert real[0].path is not None
    thin = Image.new("L", (40, 36), 0)
    thin.putpixel((20, 18), 255)  # a subject that fills no patch
    thin.save(real[0].path.with_name("00.mask.png"))
    drawings = [photos / f"{number}.png" for number in range(2)]
    for path in drawings:
        scene = picture(int(path.stem))
        scene.putalpha(Image.new("L", scene.size, 254))
        scene.save(path)
    ruler = SubjectRuler(
        real, unopened=2, shown=(0, 1), shown_unopened=1, class_word="candle", protocol=MASKED, models=models
    )

    rows = ruler.measure([open_picture(path) for path in drawings], text="a candle", absent=1)

    found = {metric: (one.references, one.missing) for metric, one in rows[0].items()}
    assert found == {
        "dino": (3, 2), "clip_i": (3, 2), "detail": (2, 3), "copy": (2, 1), "diversity": (1, 1), "clip_t": (0, 0)
    }  # fmt: skip


def test_each_encoder_sees_its_own_nothing_where_the_background_was(photos: Path, models: MeasuringModels) -> None:
    mask = Image.new("L", (40, 36), 0)
    mask.paste(255, (8, 6, 32, 30))
    for path in sorted((photos / "candle").glob("??.png")):
        mask.save(path.with_name(f"{path.stem}.mask.png"))
    one, other, _ = _opened(photos / "candle")

    def bare(picture: Picture) -> Image.Image:
        scene = Image.new("RGB", (40, 36), (128, 128, 128))  # the toy CLIP's mean is 0.5
        scene.paste(picture.image, mask=mask)
        return scene

    (row,) = _ruler([one], models, protocol=MASKED, shown=(0,)).measure([other], text="a candle")

    first, second = models.clip.encode_pictures([bare(one), bare(other)], pad=False)
    assert row["clip_i"].score == pytest.approx(float(first @ second), abs=1e-6)
