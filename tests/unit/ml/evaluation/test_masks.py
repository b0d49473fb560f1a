from pathlib import Path

import pytest
from PIL import Image

from suti.ml.evaluation.masks import MaskEmpty, MaskMissing, MaskUnfit, mask_of, without_background
from suti.ml.evaluation.protocols import DREAMBENCH

SIZE = (8, 6)


def _half(value: int = 255) -> Image.Image:
    mask = Image.new("L", SIZE, 0)
    mask.paste(value, (0, 0, 4, 6))
    return mask


def _left_half_alone(mask: Image.Image) -> bool:
    return mask.size == SIZE and [mask.getpixel((x, 3)) for x in range(8)] == [255] * 4 + [0] * 4


def test_a_mask_beside_a_picture_comes_before_its_alpha_channel_and_before_a_segmenter(tmp_path: Path) -> None:
    path = tmp_path / "03.jpg"
    picture = Image.new("RGBA", SIZE, (9, 9, 9, 0))
    _half().resize((16, 12), Image.Resampling.NEAREST).save(tmp_path / "03.mask.png")

    def everything(_picture: Image.Image, _word: str) -> Image.Image:
        return Image.new("L", SIZE, 255)

    assert _left_half_alone(mask_of(picture, file=path, segmenter=everything))


def test_an_alpha_channel_is_a_mask_unless_it_hides_nothing() -> None:
    picture = Image.new("RGBA", SIZE)
    picture.putalpha(_half(130))
    opaque = Image.new("RGBA", SIZE, (1, 2, 3, 255))

    assert _left_half_alone(mask_of(picture))
    with pytest.raises(MaskMissing, match="no mask for a picture: name a segmentation model"):
        mask_of(opaque)


def test_a_segmenter_is_asked_for_the_class_where_nothing_is_given() -> None:
    asked: list[str] = []

    def segmenter(picture: Image.Image, word: str) -> Image.Image:
        asked.append(f"{picture.mode} {word}")
        return _half()

    assert _left_half_alone(mask_of(Image.new("RGB", SIZE), segmenter=segmenter, class_word="dog"))
    assert asked == ["RGB dog"]


def test_masks_that_cannot_be_meant_are_told_from_one_another(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.png", tmp_path / "a.mask.png"
    picture = Image.new("RGB", SIZE)

    with pytest.raises(MaskMissing, match=r"a\.mask\.png"):
        mask_of(picture, file=path)
    Image.new("L", SIZE, 100).save(beside)
    with pytest.raises(MaskEmpty):
        mask_of(picture, file=path)
    Image.new("L", (8, 8), 255).save(beside)
    with pytest.raises(MaskUnfit, match="one shape"):
        mask_of(picture, file=path)
    beside.write_bytes(b"no picture")
    with pytest.raises(MaskUnfit, match="black and white"):
        mask_of(picture, file=path)


def test_where_the_background_was_there_is_the_colour_that_preprocessing_turns_into_nothing() -> None:
    found = without_background(Image.new("RGB", SIZE, (7, 8, 9)), _half(), DREAMBENCH.picture.mean)

    assert found.getpixel((0, 0)) == (7, 8, 9)
    assert found.getpixel((7, 0)) == (124, 116, 104)  # 255 * (0.485, 0.456, 0.406)
