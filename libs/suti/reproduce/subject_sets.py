"""Which unseen subjects are drawn for which prompts: settled before anything is demonstrated, so that cells are paired.

A subject's prompt, its noise and its first demonstrations are functions of its number and the seed alone: another count
of demonstrations, another system or another order changes none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from suti.core.records import Skill
from suti.core.seeds import derive_seed
from suti.local.demo.unseen import Demonstrated, Unseen, Wanted, unseen_subjects
from suti.toyworld.views import View

MOST_DEMONSTRATIONS = 5
REFERENCES = 4  # the first of them: what likeness is measured against, however many a system saw
_TURNS = 8  # prompts after which every skill had its turn
_SIZE_PX = 32


@dataclass(frozen=True)
class Asked:
    """One subject with the one prompt that it is drawn for."""

    unseen: Unseen
    wanted: Wanted
    skill: Skill
    seeds: tuple[int, ...]  # of its pictures, as the generation service would take them

    @property
    def references(self) -> Sequence[Demonstrated]:
        """Real pictures of the subject."""
        return self.unseen.demonstrations[:REFERENCES]


class SubjectSet(BaseModel):
    """So many subjects of a seed, each drawn for one prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: int
    pictures_each: int = 4
    skill: Skill | None = None  # None: skills take turns, as in a demo
    seed: int = 0

    @property
    def pictures(self) -> int:
        """Of all subjects."""
        return self.subjects * self.pictures_each

    def asked(self, number: int) -> Asked:
        """Whom the number stands for, and what is asked."""
        unseen = _subjects(self.subjects, self.seed, 1 if self.skill is None else _TURNS)[number]
        wanted = next(one for one in unseen.wanted if self.skill in {None, skill_of(one.view)})
        seeds = tuple(derive_seed(wanted.seed, "generation", index) for index in range(self.pictures_each))
        return Asked(unseen, wanted, skill_of(wanted.view), seeds)


def skill_of(view: View) -> Skill:
    """What a prompt that asks for this view asks for."""
    if view.style != "photo":
        return Skill.STYLE
    if view.accessory != "none":
        return Skill.ACCESSORY
    return Skill.ATTRIBUTE if view.attribute != "none" else Skill.RECONTEXTUALISATION


@lru_cache(maxsize=8)
def _subjects(count: int, seed: int, prompts_each: int) -> list[Unseen]:
    return unseen_subjects(
        count, demonstrations=MOST_DEMONSTRATIONS, prompts_each=prompts_each, size_px=_SIZE_PX, seed=seed
    )
