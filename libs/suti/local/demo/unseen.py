"""Subjects for evaluation, from the namespace that no training and no crawl ever uses.

Legend: N pictures, C channels, H height, W width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from suti.core.records import Skill
from suti.core.seeds import derive_seed
from suti.ml.diffusion.pixels import pixels_to_picture
from suti.ml.png import png_of
from suti.toyworld.captions import caption, name, prompt
from suti.toyworld.oracle.lineup import OTHERS
from suti.toyworld.render import render
from suti.toyworld.seeds import Namespace, subject_of, view_seed
from suti.toyworld.subjects import Subject, distractors
from suti.toyworld.views import View, draw_view, posed

# In what order prompts ask for skills. A style is asked for less often: its line-up takes the judge ten times as long.
_TURNS = (
    Skill.RECONTEXTUALISATION,
    Skill.ACCESSORY,
    Skill.ATTRIBUTE,
    Skill.RECONTEXTUALISATION,
    Skill.STYLE,
    Skill.ACCESSORY,
    Skill.RECONTEXTUALISATION,
    Skill.ATTRIBUTE,
)


@dataclass(frozen=True)
class Demonstrated:
    """One demonstration: a picture and what is said of it. The text names class and scene, never a trait."""

    png: bytes
    text: str


@dataclass(frozen=True)
class Wanted:
    """A prompt, and the view that it asks for."""

    text: str
    view: View
    seed: int


@dataclass(frozen=True)
class Unseen:
    """A subject with its demonstrations and the prompts that it is drawn for."""

    number: int
    subject: Subject
    name: str
    demonstrations: Sequence[Demonstrated]
    wanted: Sequence[Wanted]
    others: Sequence[Subject]  # whom it might be mistaken for


def unseen_subjects(count: int, *, demonstrations: int, prompts_each: int, size_px: int, seed: int) -> list[Unseen]:
    """So many subjects; the skills of the prompts take turns. The same arguments give the same subjects."""
    return [
        _unseen(number, demonstrations=demonstrations, prompts_each=prompts_each, size_px=size_px, seed=seed)
        for number in range(count)
    ]


def true_renders(unseen: Unseen, wanted: Wanted, count: int, *, size_px: int) -> Tensor:
    """The subject itself in the prompt's view, in other poses: what identification can reach at best.

    Shape: (N, C, H, W) uint8.
    """
    return render([unseen.subject] * count, _poses(wanted, count), size_px=size_px)


def stranger_renders(unseen: Unseen, wanted: Wanted, count: int, *, size_px: int) -> Tensor:
    """Somebody else of the same class in the same poses: what chance reaches. Shape: (N, C, H, W) uint8."""
    strangers = [
        subject_of(
            Namespace.EVALUATION, 1_000_000 + unseen.number * 100 + one, seed=wanted.seed, kind=unseen.subject.kind
        )
        for one in range(count)
    ]
    return render(strangers, _poses(wanted, count), size_px=size_px)


def _unseen(number: int, *, demonstrations: int, prompts_each: int, size_px: int, seed: int) -> Unseen:
    subject = subject_of(Namespace.EVALUATION, number, seed=seed)
    views = [draw_view(view_seed(Namespace.EVALUATION, number, view, seed=seed)) for view in range(demonstrations)]
    pictures_NCHW = render([subject] * demonstrations, views, size_px=size_px)
    wanted: list[Wanted] = []
    for one in range(prompts_each):
        skill = _TURNS[(number * prompts_each + one) % len(_TURNS)]
        drawn = draw_view(view_seed(Namespace.EVALUATION, number, f"prompt-{one}", seed=seed), skill=skill)
        asked = View(scene=drawn.scene, style=drawn.style, accessory=drawn.accessory, attribute=drawn.attribute)
        text = prompt(subject.kind, asked)
        wanted.append(Wanted(text, asked, derive_seed(seed, "demo-prompt", number, one)))
    return Unseen(
        number=number,
        subject=subject,
        name=name(subject),
        demonstrations=[
            Demonstrated(png_of(pixels_to_picture(picture_CHW)), caption(subject, view, detail=0.0))
            for picture_CHW, view in zip(pictures_NCHW, views, strict=True)
        ],
        wanted=wanted,
        others=distractors(subject, derive_seed(seed, "demo-distractors", number), OTHERS),
    )


def _poses(wanted: Wanted, count: int) -> list[View]:
    return [posed(wanted.view, draw_view(derive_seed(wanted.seed, "demo-pose", one))) for one in range(count)]
