"""The size of pictures on a page."""

import io

import pytest
from PIL import Image

from suti.report.exhibition import sized


@pytest.mark.parametrize(
    ("before", "after"),
    [((64, 64), (192, 192)), ((64, 32), (192, 96)), ((1024, 512), (256, 128)), ((200, 100), (200, 100))],
)
def test_small_pictures_are_enlarged_large_ones_shrunk_and_none_is_distorted(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", before, "red").save(buffer, "PNG")

    assert Image.open(io.BytesIO(sized(buffer.getvalue()))).size == after
