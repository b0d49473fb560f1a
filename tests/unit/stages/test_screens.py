from collections.abc import Sequence

import pytest
from PIL import Image

from suti.stages.screens import PicturesScreened, ScreenIncomplete, ScreenMissing, load_screen, pass_screen

PICTURES = [Image.new("RGB", (2, 2)) for _ in range(2)]


@pytest.mark.parametrize("verdicts", [[], [True], [True, True, True]])
def test_a_screen_that_does_not_speak_of_each_picture_lets_none_out(verdicts: Sequence[bool]) -> None:
    with pytest.raises(ScreenIncomplete, match="one for each"):
        pass_screen(lambda _, __: verdicts, "a cup", PICTURES)


def test_one_picture_that_is_held_back_holds_all_of_them_back() -> None:
    with pytest.raises(PicturesScreened):
        pass_screen(lambda _, __: [True, False], "a cup", PICTURES)
    pass_screen(lambda _, __: [True, True], "a cup", PICTURES)


@pytest.mark.parametrize("name", ["no.such.module:screen", "json:nothing", "json", ":"])
def test_a_screen_that_is_none_is_told_at_the_start(name: str) -> None:
    with pytest.raises(ScreenMissing):
        load_screen(name)
    assert load_screen("") is None
    assert load_screen("json:dumps") is not None
