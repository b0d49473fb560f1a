"""How a subject is seen: pose, place and size, scene, style, and what a target prompt may add."""

import random
from dataclasses import dataclass, replace

from suti.core.records import Skill
from suti.toyworld import words

_MOSTLY_STUDIO = 0.3
_OTHER_SCENE = 0.3


@dataclass(frozen=True)
class View:
    """One way to see a subject. `scene`, `style`, `accessory` and `attribute` are keys of `suti.toyworld.words`."""

    x: float = 0.5  # the subject's centre, in [0, 1] of the picture's width
    y: float = 0.54  # in [0, 1] of its height, downwards
    size: float = 0.66  # of the subject, as a fraction of the picture's height
    angle: float = 0.0  # radians, clockwise
    flip: bool = False
    scene: str = words.PLAIN_SCENE
    style: str = "photo"
    accessory: str = "none"
    attribute: str = "none"


def posed(asked: View, pose: View) -> View:
    """What is asked for, in the place, size and turn of another view."""
    return replace(asked, x=pose.x, y=pose.y, size=pose.size, angle=pose.angle, flip=pose.flip)


def draw_view(seed: int, *, skill: Skill | None = None) -> View:
    """A view of chance, the same for the same seed.

    Without a skill it is what a photographer would have taken: some pose in some scene. With one it is what a target
    prompt of that skill asks for; three in ten of those (all, for recontextualisation) also leave the studio.
    """
    choose = random.Random(seed)  # noqa: S311 - repeatable on purpose
    size = choose.uniform(0.6, 0.8)
    free = 0.5 - 0.42 * size
    outside = tuple(scene for scene in words.SCENES if scene != words.PLAIN_SCENE)
    x, y = 0.5 + choose.uniform(-free, free) * 0.8, 0.53 + choose.uniform(-free, free) * 0.6
    angle, flip = choose.uniform(-0.18, 0.18), choose.random() < 0.5
    out_of_studio = {None: 1 - _MOSTLY_STUDIO, Skill.RECONTEXTUALISATION: 1.0}.get(skill, _OTHER_SCENE)
    return View(
        x=x,
        y=y,
        size=size,
        angle=angle,
        flip=flip,
        scene=choose.choice(outside) if choose.random() < out_of_studio else words.PLAIN_SCENE,
        style=choose.choice(tuple(words.STYLES)[1:]) if skill is Skill.STYLE else "photo",
        accessory=choose.choice(tuple(words.ACCESSORIES)[1:]) if skill is Skill.ACCESSORY else "none",
        attribute=choose.choice(tuple(words.COLOURS)) if skill is Skill.ATTRIBUTE else "none",
    )
