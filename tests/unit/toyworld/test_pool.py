import torch

from suti.core.records import Skill
from suti.toyworld.seeds import Namespace, subject_of
from suti.toyworld.training.drawings import Drawings
from suti.toyworld.training.joint import weight_as_single
from suti.toyworld.training.pool import captioned_pool
from suti.toyworld.views import draw_view

ROUNDS, EACH = 40, 50


def drawings() -> Drawings:
    """Four pictures without a skill and four of each; black ones, as only their texts are counted."""
    skills = [None, *Skill] * 4
    subjects = [subject_of(Namespace.TRAIN, number) for number in range(len(skills))]
    views = [draw_view(number, skill=skill) for number, skill in enumerate(skills)]
    return Drawings(subjects, views, torch.zeros(len(skills), 3, 8, 8, dtype=torch.uint8), views_each=1)


def test_a_picture_is_shown_as_often_as_its_view_weighs() -> None:
    drawn = drawings()
    pool = captioned_pool(drawn, weight=weight_as_single)
    adorned = [texts for view, texts in zip(drawn.views, pool.captions, strict=True) if view.accessory != "none"]
    told = {text for texts in adorned for text in texts}

    shown = [text for step in range(ROUNDS) for text in pool.captioned(step, EACH)[1]]

    # By hand: 4 pictures each with an accessory, another colour, another style, and 8 with none of these.
    assert len(adorned) == 4
    assert abs(sum(text in told for text in shown) / len(shown) - 4 * 4 / (4 * 4 + 4 * 2 + 4 * 2 + 8)) < 0.05


def test_the_pictures_of_a_step_are_the_same_whenever_it_is_asked_for() -> None:
    pool = captioned_pool(drawings())

    pictures_NCHW, texts = pool.captioned(3, 5)

    again_NCHW, same = pool.captioned(3, 5)
    assert texts == same
    assert torch.equal(pictures_NCHW, again_NCHW)
