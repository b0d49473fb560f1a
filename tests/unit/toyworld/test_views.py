import pytest

from suti.core.records import Skill
from suti.toyworld.views import View, draw_view


def test_the_same_seed_draws_the_same_view() -> None:
    assert draw_view(1) == draw_view(1) != draw_view(2)


def test_a_natural_view_is_a_plain_photo_in_many_scenes() -> None:
    views = [draw_view(seed) for seed in range(300)]
    assert {(view.style, view.accessory, view.attribute) for view in views} == {("photo", "none", "none")}
    assert len({view.scene for view in views}) == 12
    assert 0.2 < sum(view.scene == "studio" for view in views) / len(views) < 0.4


@pytest.mark.parametrize(
    ("skill", "changed"),
    [
        (Skill.RECONTEXTUALISATION, "scene"),
        (Skill.STYLE, "style"),
        (Skill.ACCESSORY, "accessory"),
        (Skill.ATTRIBUTE, "attribute"),
    ],
)
def test_a_view_of_a_skill_asks_for_that_skill_and_no_other(skill: Skill, changed: str) -> None:
    for seed in range(50):
        view = draw_view(seed, skill=skill)
        asked = {name for name in ("style", "accessory", "attribute") if getattr(view, name) != getattr(View(), name)}
        assert asked == ({changed} - {"scene"})
        assert skill is not Skill.RECONTEXTUALISATION or view.scene != "studio"
